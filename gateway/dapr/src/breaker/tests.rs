use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn breaker(trip: &str, max_requests: u32, interval: Duration) -> (Breaker, Instant) {
    let template = Arc::new(Template {
        name: "test".to_owned(),
        max_requests,
        interval,
        timeout: 10 * SECOND,
        trip: Condition::new(trip).unwrap(),
    });
    let now = Instant::now();
    let breaker = Breaker {
        circuit: Mutex::new(Circuit::begin(&template, now)),
        template,
        target: "menu".to_owned(),
    };
    (breaker, now)
}

fn call(breaker: &Breaker, succeeded: bool, now: Instant) -> Result<(), Refused> {
    let generation = breaker.enter(now)?;
    breaker.leave(generation, Some(succeeded), now);
    Ok(())
}

#[test]
fn it_opens_when_its_condition_holds_and_closes_after_enough_successes() {
    let (breaker, start) = breaker("consecutiveFailures > 2", 2, Duration::ZERO);
    for succeeded in [false, false, true, false, false, false] {
        call(&breaker, succeeded, start).unwrap();
    }
    assert_eq!(call(&breaker, true, start), Err(Refused::Open));
    assert_eq!(
        call(&breaker, true, start + 10 * SECOND),
        Err(Refused::Open)
    );
    // Half-open, as many as `maxRequests` pass at a time.
    let later = start + 11 * SECOND;
    let first = breaker.enter(later).unwrap();
    let second = breaker.enter(later).unwrap();
    assert_eq!(breaker.enter(later), Err(Refused::HalfOpen));
    breaker.leave(first, Some(true), later);
    assert_eq!(breaker.enter(later), Err(Refused::HalfOpen));
    breaker.leave(second, Some(true), later);
    for _ in 0..2 {
        call(&breaker, false, later).unwrap();
    }
}

#[test]
fn one_failure_opens_a_half_open_one_and_the_end_of_an_older_call_does_not() {
    let (breaker, start) = breaker("totalFailures >= 1", 1, Duration::ZERO);
    let old = breaker.enter(start).unwrap();
    call(&breaker, false, start).unwrap();
    let later = start + 11 * SECOND;
    let probe = breaker.enter(later).unwrap();
    breaker.leave(old, Some(true), later);
    assert_eq!(breaker.enter(later), Err(Refused::HalfOpen));
    breaker.leave(probe, Some(false), later);
    assert_eq!(breaker.enter(later + SECOND), Err(Refused::Open));
    assert!(breaker.enter(later + 11 * SECOND).is_ok());
}

#[test]
fn counts_begin_anew_after_the_interval() {
    let (breaker, start) = breaker("totalFailures > 1 && requests < 10", 1, 5 * SECOND);
    call(&breaker, false, start).unwrap();
    call(&breaker, false, start + 6 * SECOND).unwrap();
    call(&breaker, false, start + 7 * SECOND).unwrap();
    assert_eq!(breaker.enter(start + 7 * SECOND), Err(Refused::Open));
}

#[test]
fn a_call_whose_caller_went_away_gives_its_place_back() {
    let (breaker, start) = breaker("totalFailures >= 1", 1, Duration::ZERO);
    call(&breaker, false, start).unwrap();
    let later = start + 11 * SECOND;
    let probe = breaker.enter(later).unwrap();
    breaker.leave(probe, None, later);
    call(&breaker, true, later).unwrap();
    call(&breaker, true, later).unwrap();
}

#[test]
fn each_app_and_target_has_a_circuit_of_its_own_and_their_number_is_bounded() {
    let (one, _) = breaker("totalFailures >= 1", 1, Duration::ZERO);
    let breakers = Breakers::new(one.template, 2);
    let [shop, bar] = ["shop", "bar"].map(|app| AppId::new(app).unwrap());
    breakers.of(&shop, "a").pass().unwrap().end(false);
    assert_eq!(breakers.of(&shop, "a").pass().unwrap_err(), Refused::Open);
    assert!(breakers.of(&bar, "a").pass().is_ok());
    assert!(breakers.of(&shop, "b").pass().is_ok());
    assert!(breakers.of(&shop, "c").pass().is_ok());
    // The one that was used longest ago made room.
    assert!(breakers.of(&shop, "a").pass().is_ok());
}
