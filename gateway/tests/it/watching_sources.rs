//! `up --watch` with packages that have a build command: what is saved is built and served, by the least of builds.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::harness::{Builder, Signal, TestGateway, command, guest, until};

/// A project whose package is built by a shell from the path of a component in the file `source`.
struct Project {
    folder: TempDir,
}

/// What copies the component that the source names, and counts the builds.
const COPY: &str = "echo run >> runs; cp $(cat source) site.wasm";

impl Project {
    fn new(script: &str, more: &str) -> Self {
        let project = Self {
            folder: TempDir::new().unwrap(),
        };
        project.save("hello");
        one(script, more).write_to(project.path());
        project
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Saves a source from which that guest is built.
    fn save(&self, example: &str) {
        let (next, source) = (self.file("source~"), self.file("source"));
        // Whole at once: a build that is begun before the next save reads one or the other.
        fs::write(&next, guest(example).display().to_string()).unwrap();
        fs::rename(next, source).unwrap();
    }

    /// The builds so far.
    fn runs(&self) -> usize {
        let runs = fs::read_to_string(self.file("runs")).unwrap_or_default();
        runs.lines().count()
    }

    fn up(&self) -> TestGateway {
        TestGateway::spawn(command(self.path(), &["up", "--watch"]))
    }
}

fn one(script: &str, more: &str) -> Builder {
    let build = format!("build = {{ command = '{script}'{more} }}");
    TestGateway::builder()
        .package("site", Path::new("site.wasm"), &build)
        .route("/site", "site")
}

async fn serves_hello(gateway: &TestGateway) -> bool {
    gateway.get("/site").await.text().contains("Hello")
}

async fn serves_the_other(gateway: &TestGateway) {
    until("the other component", async || !serves_hello(gateway).await).await;
}

/// The builds that were told since the gateway serves.
fn built(gateway: &TestGateway) -> usize {
    let built = [("message", "the package was built")];
    let events = gateway.events();
    events.iter().filter(|event| event.has(&built)).count()
}

async fn rejected(gateway: &TestGateway) -> u64 {
    let rejected = [("result", "rejected")];
    gateway
        .metrics()
        .await
        .sum("wasmgate_reloads_total", &rejected) as u64
}

#[tokio::test]
async fn a_saved_source_is_built_and_served_and_one_that_cannot_be_built_is_told() {
    let project = Project::new(COPY, ", watch = [\"source\"]");
    let gateway = project.up();
    assert!(serves_hello(&gateway).await);
    fs::write(project.file("source"), "no-such-component").unwrap();
    let told = "the package was not built; what was served is served still";
    gateway
        .wait_for_event(&[("message", told), ("package", "site")])
        .await;
    // The tool's own words.
    assert!(
        gateway
            .log()
            .contains("cp: cannot stat 'no-such-component'"),
        "{}",
        gateway.log()
    );
    assert!(serves_hello(&gateway).await);
    project.save("reports_its_environment");
    serves_the_other(&gateway).await;
    assert_eq!((project.runs(), rejected(&gateway).await), (3, 0));
}

#[tokio::test]
async fn saves_within_a_moment_are_one_build_and_saves_during_a_build_are_one_more() {
    let script = "echo run >> runs; until [ -e go ]; do sleep 0.01; done; cp $(cat source) site.wasm";
    let project = Project::new(script, ", watch = [\"source\"]");
    fs::write(project.file("go"), "").unwrap();
    let gateway = project.up();
    fs::remove_file(project.file("go")).unwrap();
    project.save("echo");
    project.save("echo");
    until("the build", async || project.runs() == 2).await;
    for example in ["panics", "counter", "echo", "reports_its_environment"] {
        project.save(example);
    }
    fs::write(project.file("go"), "").unwrap();
    until("the last one's answer", async || {
        !serves_hello(&gateway).await && project.runs() == 3
    })
    .await;
    until("both builds", async || built(&gateway) == 2).await;
    assert_eq!(project.runs(), 3);
}

#[tokio::test]
async fn a_component_that_its_build_writes_in_pieces_is_not_served_before_its_end() {
    let script = "half=$(( $(wc -c < $(cat source)) / 2 )); head -c $half $(cat source) > site.wasm; sleep 0.5; \
                  tail -c +$(( half + 1 )) $(cat source) >> site.wasm";
    let project = Project::new(script, ", watch = [\"source\"]");
    let gateway = project.up();
    project.save("reports_its_environment");
    serves_the_other(&gateway).await;
    assert_eq!(rejected(&gateway).await, 0);
}

#[tokio::test]
async fn only_the_package_whose_sources_changed_is_built() {
    let folder = TempDir::new().unwrap();
    let mut builder = TestGateway::builder();
    for name in ["one", "two"] {
        let copy = format!(
            "echo run >> ../{name}.runs; cp {} ../{name}.wasm",
            guest("hello").display()
        );
        let build = format!("build = {{ command = '{copy}', workdir = '{name}' }}");
        let wasm = format!("{name}.wasm");
        builder = builder
            .package(name, Path::new(&wasm), &build)
            .file(&format!("{name}/source"), "");
    }
    builder.write_to(folder.path());
    let _gateway = TestGateway::spawn(command(folder.path(), &["up", "--watch"]));
    let runs = |name: &str| {
        let runs = fs::read_to_string(folder.path().join(format!("{name}.runs")));
        runs.unwrap_or_default().lines().count()
    };
    assert_eq!((runs("one"), runs("two")), (1, 1));
    fs::write(folder.path().join("two/source"), "changed").unwrap();
    until("the build", async || runs("two") == 2).await;
    fs::write(folder.path().join("one/new-source"), "new").unwrap();
    until("the other build", async || runs("one") == 2).await;
    assert_eq!(runs("two"), 2);
}

#[tokio::test]
async fn a_thousand_files_are_watched_and_folders_that_go_and_come() {
    let project = Project::new(COPY, ", watch = [\"src/**/*.rs\", \"source\"]");
    let place = |number: usize| project.file(&format!("src/{}/{number}.rs", number % 100));
    let write_all = |text: &str| {
        for number in 0..1000 {
            fs::create_dir_all(place(number).parent().unwrap()).unwrap();
            fs::write(place(number), text).unwrap();
        }
    };
    write_all("first");
    let _gateway = project.up();
    assert_eq!(project.runs(), 1);
    fs::write(place(777), "changed").unwrap();
    until("the build", async || project.runs() == 2).await;
    // What is no source is not built for.
    fs::write(project.file("src/7/notes.txt"), "text").unwrap();
    fs::create_dir_all(project.file("src/new/deep")).unwrap();
    fs::write(project.file("src/new/deep/x.rs"), "new").unwrap();
    until("the build for a new folder", async || project.runs() == 3).await;
    fs::remove_dir_all(project.file("src")).unwrap();
    until("the build without them", async || project.runs() > 3).await;
    let before = project.runs();
    write_all("second");
    until("the build of what came back", async || {
        project.runs() > before
    })
    .await;
    // A change in one of them is seen as before.
    let before = project.runs();
    until("a build for one of them", async || {
        fs::write(place(5), "again").unwrap();
        project.runs() > before
    })
    .await;
}

#[tokio::test]
async fn without_a_list_all_of_the_folder_counts_but_what_tools_and_editors_keep() {
    const SCRIPT: &str = "echo run >> ../runs; cp $(cat source) ../site.wasm";
    const MORE: &str = ", workdir = \"package\"";
    let project = Project::new(SCRIPT, MORE);
    let source = guest("hello").display().to_string();
    for (file, text) in [
        ("source", source.as_str()),
        ("Cargo.toml", ""),
        ("target/x", ""),
        (".git/index", ""),
        (".gitignore", "ignored\n"),
    ] {
        let file = project.file("package").join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let gateway = project.up();
    for file in [
        "target/y",
        ".git/HEAD",
        "node_modules/x.js",
        "ignored",
        "source~",
        ".source.swp",
    ] {
        let file = project.file("package").join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "text").unwrap();
    }
    // What is saved after them is served after them.
    one(SCRIPT, MORE)
        .route("/after", "site")
        .write_to(project.path());
    until("the route", async || {
        gateway.get("/after").await.status == 200
    })
    .await;
    assert!(
        !gateway
            .events()
            .iter()
            .any(|event| event.has(&[("message", "building")]))
    );
    fs::write(project.file("package/notes.md"), "text").unwrap();
    until("the build", async || project.runs() == 2).await;
}

#[tokio::test]
async fn a_build_that_writes_among_its_sources_ends_and_one_that_never_repeats_itself_is_slowed() {
    // What it generates is the same each time: one build more finds that out.
    let project = Project::new(
        &format!("echo same > generated; {COPY}"),
        ", watch = [\"source\", \"generated\"]",
    );
    let gateway = project.up();
    project.save("reports_its_environment");
    serves_the_other(&gateway).await;
    let begun = || {
        let events = gateway.events();
        let building = [("message", "building")];
        events.iter().filter(|event| event.has(&building)).count()
    };
    until("the last build", async || begun() + 1 == project.runs()).await;
    assert!(project.runs() <= 5, "{}", project.runs());
    // It is another each time.
    let project = Project::new(
        &format!("date +%N > generated; {COPY}"),
        ", watch = [\"source\", \"generated\"]",
    );
    let gateway = project.up();
    project.save("reports_its_environment");
    let warning = gateway
        .wait_for_event(&[("package", "site"), ("level", "WARN")])
        .await;
    assert!(
        warning
            .field("files")
            .unwrap_or_default()
            .contains("generated"),
        "{warning:?}"
    );
    // And a save is built all the same.
    project.save("hello");
    until("hello", async || serves_hello(&gateway).await).await;
}

#[tokio::test]
async fn a_package_that_comes_with_its_build_command_is_built_and_then_served() {
    let project = Project::new(COPY, ", watch = [\"source\"]");
    let gateway = project.up();
    let copy = format!("cp {} second.wasm", guest("hello").display());
    let build = format!("build = {{ command = '{copy}', watch = [] }}");
    let both = one(COPY, ", watch = [\"source\"]")
        .package("second", Path::new("second.wasm"), &build)
        .route("/second", "second");
    both.write_to(project.path());
    until("the new package", async || {
        gateway.get("/second").await.status == 200
    })
    .await;
    // It was not looked for before it was built, and the other was not built again.
    assert_eq!((project.runs(), rejected(&gateway).await), (1, 0));
    // One that cannot be built is tried once, and told.
    let failing = "build = { command = 'echo run >> tries; exit 1', watch = [] }";
    let all = both.package("third", Path::new("third.wasm"), failing);
    all.write_to(project.path());
    gateway
        .wait_for_metric("wasmgate_reloads_total", &[("result", "rejected")], 1)
        .await;
    all.route("/third-second", "second")
        .write_to(project.path());
    gateway
        .wait_for_metric("wasmgate_reloads_total", &[("result", "rejected")], 2)
        .await;
    let tries = fs::read_to_string(project.file("tries")).unwrap();
    assert_eq!(tries.lines().count(), 1);
    // Another command is another build.
    one(&format!("{COPY}; true"), ", watch = [\"source\"]").write_to(project.path());
    until("the build", async || project.runs() == 2).await;
}

#[tokio::test]
async fn what_is_built_when_the_gateway_ends_ends_with_it() {
    let script =
        "[ ! -e hang ] || { sleep 1000 & echo $! > started; mv started child; wait; }; cp $(cat source) site.wasm";
    let project = Project::new(script, ", watch = [\"source\"]");
    let mut gateway = project.up();
    fs::write(project.file("hang"), "").unwrap();
    project.save("hello");
    until("the build", async || project.file("child").exists()).await;
    let child = fs::read_to_string(project.file("child")).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    let is_running = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(is_running());
    gateway.signal(Signal::Terminate);
    assert!(gateway.ended().await.success());
    until("the end of what was killed", async || !is_running()).await;
}
