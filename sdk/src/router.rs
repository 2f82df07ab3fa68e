//! The table of routes, which finds the handler of a request.

use std::{fmt, rc::Rc};

use crate::{Answer, Error, IntoAnswer, Method, Next, Request, pattern::Pattern};

/// A table of routes, in the gateway's own path syntax.
///
/// | in a pattern | stands for |
/// |---|---|
/// | `/orders` | itself |
/// | `/{id}` | one segment, not empty |
/// | `/{*rest}` | all that is left, perhaps nothing: `/f/{*rest}` takes `/f` too; only at the end |
///
/// Of the routes that fit path and method the most specific wins: segment by segment, static
/// before parameter before wildcard; of two alike, the first. When none fits the path the answer is
/// 404, when only the method does not fit it is 405 with `allow`. HEAD falls to GET.
///
/// A handler takes the [`Request`] and returns anything that is [`IntoResponse`], or a future of it.
///
/// ```
/// use wasmgate_sdk::{Error, Request, Router, testing};
///
/// async fn greet(request: Request) -> Result<String, Error> {
///     let name = request.param("name").ok_or_else(|| Error::not_found("nobody"))?;
///     Ok(format!("Hello, {name}!"))
/// }
///
/// let app = Router::new()
///     .get("/", |_| "a closure, at once")
///     .get("/async", |_| async { "a future" })
///     .get("/greet/{name}", greet);
/// assert_eq!(testing::call(&app, Request::get("/greet/Ada")).text(), "Hello, Ada!");
/// assert_eq!(testing::call(&app, Request::post("/async")).header("allow"), Some("GET, HEAD"));
/// ```
#[derive(Default)]
#[must_use = "a route is served by the router that is returned"]
pub struct Router {
    routes: Vec<Route>,
    /// Dapr's deliveries, ahead of the routes.
    #[cfg(feature = "dapr")]
    deliveries: Option<Box<crate::dapr::Deliveries>>,
    /// For paths of no route.
    fallback: Option<Handler>,
    /// Around what is answered without a handler.
    layers: Option<Layers>,
}

/// The layers around refusals, the innermost first.
struct Layers {
    list: Vec<Layer>,
    /// The way in. A pointer, so that a package without layers does not carry what is behind it.
    refuse: fn(&[Layer], String, Request) -> Answer,
}

type Layer = Rc<dyn Fn(Request, Next) -> Answer>;

struct Route {
    /// `None`: any.
    method: Option<Method>,
    pattern: Pattern,
    handler: Handler,
}

/// A boxed closure without captures allocates nothing, so a table costs one growing list.
type Handler = Box<dyn Fn(Request) -> Answer>;

impl Router {
    /// No routes.
    pub const fn new() -> Self {
        Router {
            routes: Vec::new(),
            #[cfg(feature = "dapr")]
            deliveries: None,
            fallback: None,
            layers: None,
        }
    }

    /// Answers GET, and HEAD unless that has a route of its own.
    pub fn get<R, M>(self, pattern: &'static str, handler: impl Fn(Request) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        self.route(Method::GET, pattern, handler)
    }

    /// Answers POST.
    pub fn post<R, M>(self, pattern: &'static str, handler: impl Fn(Request) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        self.route(Method::POST, pattern, handler)
    }

    /// Answers PUT.
    pub fn put<R, M>(self, pattern: &'static str, handler: impl Fn(Request) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        self.route(Method::PUT, pattern, handler)
    }

    /// Answers PATCH.
    pub fn patch<R, M>(self, pattern: &'static str, handler: impl Fn(Request) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        self.route(Method::PATCH, pattern, handler)
    }

    /// Answers DELETE.
    pub fn delete<R, M>(self, pattern: &'static str, handler: impl Fn(Request) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        self.route(Method::DELETE, pattern, handler)
    }

    /// Answers a method.
    pub fn route<R, M>(self, method: Method, pattern: &'static str, handler: impl Fn(Request) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        self.add(Some(method), pattern, handler)
    }

    /// Answers every method that has no route of its own on an equally specific pattern.
    pub fn any<R, M>(self, pattern: &'static str, handler: impl Fn(Request) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        self.add(None, pattern, handler)
    }

    /// Adds the routes of another table, after its own. A fallback and layers of the other are for its own routes,
    /// unless there is no fallback here.
    pub fn merge(mut self, other: Router) -> Self {
        self.routes.extend(other.routes);
        self.fallback = self.fallback.or(other.fallback);
        #[cfg(feature = "dapr")]
        match (&mut self.deliveries, other.deliveries) {
            (Some(own), Some(others)) => own.merge(*others),
            (own @ None, others) => *own = others,
            (Some(_), None) => {}
        }
        self
    }

    /// Adds the routes of another table below a prefix, which may have parameters; `/` there is the prefix itself. A
    /// fallback of the other is for all paths below, and its layers are around what is refused there too. A handler's
    /// request has the whole path.
    ///
    /// ```
    /// use wasmgate_sdk::{Request, Router, StatusCode, testing};
    ///
    /// let orders = Router::new()
    ///     .get("/", |_| "all orders")
    ///     .get("/{id}", |request| format!("order {}", request.param("id").unwrap_or_default()))
    ///     .fallback(|_| (StatusCode::NOT_FOUND, "no such order"));
    /// let app = Router::new().get("/", |_| "home").nest("/orders", orders);
    /// let text = |path: &str| testing::call(&app, Request::get(path)).text().to_owned();
    /// assert_eq!((text("/orders"), text("/orders/7")), ("all orders".into(), "order 7".into()));
    /// assert_eq!(text("/orders/7/8"), "no such order");
    /// ```
    pub fn nest(mut self, prefix: &'static str, mut other: Router) -> Self {
        for route in &mut other.routes {
            route.pattern = route.pattern.under(prefix);
        }
        if other.fallback.is_some() || other.layers.is_some() {
            let fallback = other.fallback.take();
            let layers = other.layers.take();
            let known: Vec<_> = other
                .routes
                .iter()
                .map(|route| (route.method.clone(), route.pattern))
                .collect();
            let refusal = move |request: Request| {
                let known = known
                    .iter()
                    .map(|(method, pattern)| (method.as_ref(), *pattern));
                let allowed = allowed(known, request.path());
                refuse(fallback.as_ref(), layers.as_ref(), allowed, request)
            };
            self.routes.push(Route {
                method: None,
                pattern: Pattern("/{*path}").under(prefix),
                handler: Box::new(refusal),
            });
        }
        self.merge(other)
    }

    /// Answers paths that no route has, in place of 404.
    pub fn fallback<R, M>(mut self, handler: impl Fn(Request) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        self.fallback = Some(Box::new(move |request| handler(request).into_answer()));
        self
    }

    /// Puts a function around every handler that is there already, the fallback and the refusals of this table (404 and
    /// 405); see [`layer`](crate::layer). The last layer is the outermost. Dapr's deliveries go past layers.
    pub fn layer<R, M>(mut self, layer: impl Fn(Request, Next) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        let layer: Layer = Rc::new(move |request, next| layer(request, next).into_answer());
        let around = |handler: Handler| -> Handler {
            let (layer, next) = (Rc::clone(&layer), Next(Rc::from(handler)));
            Box::new(move |request| layer(request, next.clone()))
        };
        self.routes = self
            .routes
            .into_iter()
            .map(|route| Route {
                handler: around(route.handler),
                ..route
            })
            .collect();
        self.fallback = self.fallback.map(around);
        let layers = self.layers.get_or_insert_with(|| Layers {
            list: Vec::new(),
            refuse: refuse_within,
        });
        layers.list.push(layer);
        self
    }

    /// Takes deliveries of one more thing.
    #[cfg(feature = "dapr")]
    pub(crate) fn deliver_to(mut self, source: impl crate::dapr::DeliverySource + 'static) -> Self {
        self.deliveries
            .get_or_insert_with(|| Box::new(crate::dapr::Deliveries::new()))
            .add(source);
        self
    }

    /// Runs the handler of the request's route, or answers 404 or 405.
    pub(crate) fn dispatch(&self, mut request: Request) -> Answer {
        #[cfg(feature = "dapr")]
        let deliveries = self.deliveries.as_ref();
        #[cfg(feature = "dapr")]
        if let Some(respond) = deliveries.and_then(|own| own.find(&request)) {
            return respond(request);
        }
        let path = request.path();
        let best = self
            .routes
            .iter()
            .filter_map(|route| Some((route.fit(request.method())?, route)))
            .filter(|(_, route)| route.pattern.matches(path))
            // Of equals, the first stays.
            .min_by(|(fit, route), (other_fit, other)| {
                route
                    .pattern
                    .specificity(other.pattern)
                    .then(fit.cmp(other_fit))
            });
        match best {
            Some((_, route)) => {
                request.set_pattern(route.pattern);
                (route.handler)(request)
            }
            None => {
                let known = self
                    .routes
                    .iter()
                    .map(|route| (route.method.as_ref(), route.pattern));
                let allowed = allowed(known, path);
                refuse(
                    self.fallback.as_ref(),
                    self.layers.as_ref(),
                    allowed,
                    request,
                )
            }
        }
    }

    /// Finds what is wrong with the table; for tests, never on a request's path.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let mistake = |route: &Route| {
            let pattern = route.pattern;
            pattern
                .mistake()
                .map(|mistake| format!("the route `{}` {mistake}", pattern.0))
        };
        let taken = |path: String| {
            let route = self
                .routes
                .iter()
                .find(|route| route.pattern.0 == path && route.fit(&Method::POST).is_some())?;
            let pattern = route.pattern.0;
            Some(format!("the route `{pattern}` is where Dapr delivers"))
        };
        #[cfg(feature = "dapr")]
        let delivered = self.deliveries.iter().flat_map(|own| own.paths());
        #[cfg(not(feature = "dapr"))]
        let delivered = std::iter::empty();
        let mistakes = self.routes.iter().filter_map(mistake);
        mistakes.chain(delivered.filter_map(taken)).collect()
    }

    fn add<R, M>(
        mut self,
        method: Option<Method>,
        pattern: &'static str,
        handler: impl Fn(Request) -> R + 'static,
    ) -> Self
    where
        R: IntoAnswer<M>,
    {
        let handler: Handler = Box::new(move |request| handler(request).into_answer());
        self.routes.push(Route {
            method,
            pattern: Pattern(pattern),
            handler,
        });
        self
    }
}

/// The methods that a path takes, for `allow`; empty when there is no such path.
fn allowed<'a>(known: impl Iterator<Item = (Option<&'a Method>, Pattern)>, path: &str) -> String {
    let (mut seen, mut list) = (Vec::new(), String::new());
    for (method, _) in known.filter(|(_, pattern)| pattern.matches(path)) {
        let head = (method == Some(&Method::GET)).then_some("HEAD");
        for method in method.into_iter().map(Method::as_str).chain(head) {
            if !seen.contains(&method) {
                list.push_str(if seen.is_empty() { "" } else { ", " });
                list.push_str(method);
                seen.push(method);
            }
        }
    }
    list
}

/// Answers what no route takes.
fn refuse(fallback: Option<&Handler>, layers: Option<&Layers>, allowed: String, request: Request) -> Answer {
    match (fallback, layers) {
        (Some(fallback), _) if allowed.is_empty() => fallback(request),
        (_, Some(layers)) => (layers.refuse)(&layers.list, allowed, request),
        (_, None) => refusal(&allowed).into_answer(),
    }
}

fn refuse_within(layers: &[Layer], allowed: String, request: Request) -> Answer {
    let innermost = Next(Rc::new(move |_| refusal(&allowed).into_answer()));
    let outermost = layers.iter().fold(innermost, |next, layer| {
        let layer = Rc::clone(layer);
        Next(Rc::new(move |request| layer(request, next.clone())))
    });
    outermost.run(request)
}

fn refusal(allowed: &str) -> Error {
    if allowed.is_empty() {
        Error::not_found("no route has this path")
    } else {
        Error::new(405, "this path does not take this method").with_field("allow", allowed.to_owned())
    }
}

impl Route {
    /// Returns how closely the route takes the method, if it does: less is closer.
    fn fit(&self, method: &Method) -> Option<u8> {
        match &self.method {
            Some(own) if own == method => Some(0),
            Some(Method::GET) if *method == Method::HEAD => Some(1),
            None => Some(2),
            Some(_) => None,
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |route: &Route| {
            let method = route.method.as_ref().map_or("*", Method::as_str);
            format!("{method} {}", route.pattern.0)
        };
        f.debug_list()
            .entries(self.routes.iter().map(line))
            .finish()
    }
}
