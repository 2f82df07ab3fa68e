//! The templates' files, compiled in, with placeholders.

/// The path of a file in a package's folder, and its text.
pub(super) type File = (&'static str, &'static str);

macro_rules! file {
    ($path:literal, $text:literal) => {
        ($path, include_str!(concat!("../../../templates/", $text)))
    };
}

/// What git leaves out of a crate's folder.
pub(super) const IGNORED: File = file!(".gitignore", "shared/gitignore");
/// The same of a folder that npm fills.
pub(super) const JAVASCRIPT_IGNORED: File = file!(".gitignore", "javascript/gitignore");
/// The same of a folder with a virtual environment.
pub(super) const PYTHON_IGNORED: File = file!(".gitignore", "python/gitignore");
/// The same of a folder that Go builds in.
pub(super) const GO_IGNORED: File = file!(".gitignore", "go/gitignore");
/// How Cargo links a component.
pub(super) const LINKER: File = file!(".cargo/config.toml", "shared/cargo-config.toml");
/// What to type.
pub(super) const README: File = file!("README.md", "shared/README.md");
/// The beginning of a configuration.
pub(super) const CONFIGURATION: File = file!("wasmgate.toml", "shared/wasmgate.toml");
/// The world that tools of other languages build for.
const WORLD: File = file!("wit/app.wit", "shared/app.wit");
/// What npm is not to do.
const NPM: File = file!(".npmrc", "javascript/npmrc");
/// What makes a component of a bundle.
const COMPONENTIZE: File = file!("componentize.js", "javascript/componentize.js");

pub(super) const RUST: [File; 3] = [
    file!("Cargo.toml", "rust/Cargo.toml.in"),
    file!("src/lib.rs", "rust/lib.rs"),
    file!("src/tests.rs", "rust/tests.rs"),
];
pub(super) const RUST_DAPR: [File; 3] = [
    file!("Cargo.toml", "rust-dapr/Cargo.toml.in"),
    file!("src/lib.rs", "rust-dapr/lib.rs"),
    file!("src/tests.rs", "rust-dapr/tests.rs"),
];
pub(super) const STATIC: [File; 6] = [
    file!("Cargo.toml", "static/Cargo.toml.in"),
    file!("build.rs", "static/build.rs"),
    file!("src/lib.rs", "static/lib.rs"),
    file!("src/tests.rs", "static/tests.rs"),
    file!("site/index.html", "static/index.html"),
    file!("site/style.css", "static/style.css"),
];
pub(super) const JAVASCRIPT: [File; 9] = [
    file!("package.json", "javascript/package.json"),
    file!("package-lock.json", "javascript/package-lock.json"),
    NPM,
    COMPONENTIZE,
    WORLD,
    file!("src/main.js", "javascript/main.js"),
    file!("src/app.js", "javascript/app.js"),
    file!("src/dapr.js", "javascript/dapr.js"),
    file!("test/app.test.js", "javascript/app.test.js"),
];
pub(super) const TYPESCRIPT: [File; 11] = [
    file!("package.json", "typescript/package.json"),
    file!("package-lock.json", "typescript/package-lock.json"),
    file!("tsconfig.json", "typescript/tsconfig.json"),
    NPM,
    COMPONENTIZE,
    WORLD,
    file!("src/main.ts", "typescript/main.ts"),
    file!("src/app.ts", "typescript/app.ts"),
    file!("src/dapr.ts", "typescript/dapr.ts"),
    file!("src/wasi.d.ts", "typescript/wasi.d.ts"),
    file!("test/app.test.ts", "typescript/app.test.ts"),
];
pub(super) const PYTHON: [File; 8] = [
    file!("build.py", "python/build.py"),
    file!("requirements.txt", "python/requirements.txt"),
    WORLD,
    file!("src/main.py", "python/main.py"),
    file!("src/app.py", "python/app.py"),
    file!("src/web.py", "python/web.py"),
    file!("src/dapr.py", "python/dapr.py"),
    file!("src/test_app.py", "python/test_app.py"),
];
pub(super) const GO: [File; 12] = [
    file!("go.mod", "go/go.mod.in"),
    file!("app.go", "go/app.go"),
    file!("app_test.go", "go/app_test.go"),
    file!("dapr.go", "go/dapr.go"),
    file!("main.go", "go/main.go"),
    file!("wasi/doc.go", "go/wasi/doc.go"),
    file!("wasi/host.go", "go/wasi/host.go"),
    file!("wasi/imports.go", "go/wasi/imports.go"),
    file!("wasi/native.go", "go/wasi/native.go"),
    file!("wasi/transport.go", "go/wasi/transport.go"),
    file!("wasi/wait.go", "go/wasi/wait.go"),
    file!("wasi/wasi.go", "go/wasi/wasi.go"),
];
pub(super) const C: [File; 9] = [
    file!("Makefile", "c/Makefile"),
    file!("src/app.c", "c/app.c"),
    file!("src/dapr.c", "c/dapr.c"),
    file!("src/dapr.h", "c/dapr.h"),
    file!("src/http.h", "c/http.h"),
    file!("src/json.c", "c/json.c"),
    file!("src/json.h", "c/json.h"),
    file!("src/wasi.c", "c/wasi.c"),
    file!("test/test.c", "c/test.c"),
];
pub(super) const EMPTY: [File; 2] = [
    file!("README.md", "empty/README.md"),
    file!("wasmgate.toml", "empty/wasmgate.toml"),
];
