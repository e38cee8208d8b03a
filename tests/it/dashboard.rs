//! The dashboard is whole, small and guarded, and a person finds in it what the API says: in a real browser, where one
//! is installed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use http::Method;
use schemas::money::Pico;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tests::caller::{self, Answer, Caller};
use tests::configuration::Settings;
use tests::process::Process;
use tests::services::Analytics;
use tests::stack::{Plan, Stack};
use tests::{binaries, eventually, load};

/// What the service asks for where it asks for anything.
const TOKEN: &str = "read-only";

/// Nobody listens there.
fn nowhere(analytics: &str) -> Settings {
    Settings {
        nats_url: "nats://127.0.0.1:9".to_owned(),
        clickhouse_url: "http://127.0.0.1:9".to_owned(),
        database: "weir".to_owned(),
        ledger_dir: PathBuf::from("unused"),
        listen: ([127, 0, 0, 1], 0).into(),
        ops_listen: ([127, 0, 0, 1], 0).into(),
        recorder_ops_listen: ([127, 0, 0, 1], 0).into(),
        nats: String::new(),
        gateway: String::new(),
        recorder: String::new(),
        analytics: analytics.to_owned(),
        catalogue: String::new(),
    }
}

async fn get(reader: &Caller, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = reader.anonymous(Method::GET, path);
    caller::read(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

/// The addresses that a file names, as a browser would follow them from `path`.
fn named(path: &str, text: &str) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let linked = text.match_indices("\"assets/").map(|(at, _)| format!("/{}", until_quote(&text[at + 1..])));
    let imported = text.match_indices("\"./").map(|(at, _)| format!("{folder}/{}", until_quote(&text[at + 3..])));
    linked.chain(imported).collect()
}

fn until_quote(text: &str) -> &str {
    text.split('"').next().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_served_with_its_type_its_policy_and_for_ever() {
    let analytics = Analytics::start(&nowhere(&format!("token = {{ plain = \"{TOKEN}\" }}"))).await;
    let reader = Caller::new(&analytics.url, "");
    let page = get(&reader, "/", &[]).await;
    let header = |answer: &Answer, name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!((page.status.as_u16(), header(&page, "cache-control").as_deref()), (200, Some("no-cache")));
    let mut todo = named("/", &page.text());
    let mut seen: BTreeMap<String, Answer> = [("/".to_owned(), page)].into();
    while let Some(path) = todo.pop() {
        if seen.contains_key(&path) {
            continue;
        }
        let file = get(&reader, &path, &[]).await;
        assert_eq!(file.status, 200, "{path}");
        todo.extend(named(&path, &file.text()));
        seen.insert(path, file);
    }
    assert!(seen.len() > 15, "{:?}", seen.keys());
    for (path, file) in &seen {
        let expected = match path.rsplit_once('.').map(|(_, ending)| ending) {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(header(file, "content-type").as_deref(), Some(expected), "{path}");
        let policy = header(file, "content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header(file, "x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        if path != "/" {
            assert!(header(file, "cache-control").unwrap().contains("immutable"), "{path}");
        }
        let etag = header(file, "etag").expect("an etag");
        let again = get(&reader, path, &[("if-none-match", &etag)]).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{path}");
        let zipped = get(&reader, path, &[("accept-encoding", "gzip, br")]).await;
        assert_eq!(header(&zipped, "content-encoding").as_deref(), Some("gzip"), "{path}");
        assert!(zipped.body.starts_with(&[0x1f, 0x8b]), "{path} is gzip");
    }
    // No token was sent; whatever tells of anybody's use asks for it, and so does what does not exist.
    for path in ["/v1/usage", "/v1/live", "/openapi.json", "/assets", "/index.html"] {
        assert_eq!(get(&reader, path, &[]).await.status, 401, "{path}");
    }
    assert_eq!(get(&reader, "/assets/0123456789abcdef/app.js", &[]).await.status, 404, "another version");
}

/// A demo that keeps running, as a process.
struct Demo {
    process: Process,
    _folder: TempDir,
}

impl Demo {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(binaries::path("weir"));
        command.arg("demo").env("TMPDIR", folder.path()).env_remove("WEIR_CLICKHOUSE__URL");
        let log = folder.path().join("demo.log");
        let demo = Self { process: Process::spawn(&mut command, folder.path(), log), _folder: folder };
        eventually("the demo stands", Duration::from_secs(180), || {
            let told = demo.process.output();
            async move { if told.contains("  in SQL ") { Ok(()) } else { Err(told) } }
        })
        .await;
        demo
    }

    /// What stands behind some words of what it has printed.
    fn line(&self, words: &str) -> String {
        let told = self.process.output();
        let line = told.lines().find_map(|line| line.trim_start().strip_prefix(words).map(str::trim));
        line.unwrap_or_else(|| panic!("no {words:?} in\n{told}")).to_owned()
    }
}

/// Runs a command as somebody would who copies it into a terminal.
fn pasted(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().expect("sh");
    assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

type Costs = BTreeMap<(String, String), Option<Pico>>;

fn amount(text: &str) -> Option<Pico> {
    (!text.is_empty() && text != "ᴺᵁᴸᴸ").then(|| text.parse().expect("a decimal"))
}

/// The costs in comma-separated values, by client and model.
fn in_csv(text: &str) -> Costs {
    let mut lines = text.lines().map(|line| line.split(',').map(|cell| cell.trim_matches('"')).collect::<Vec<_>>());
    let head = lines.next().expect("a line of names");
    let place =
        |name: &str| head.iter().position(|column| *column == name).unwrap_or_else(|| panic!("{name}: {head:?}"));
    let (client, model, cost) = (place("client"), place("model"), place("cost_usd"));
    lines.map(|row| ((row[client].to_owned(), row[model].to_owned()), amount(row[cost]))).collect()
}

/// The costs in a table that ClickHouse has drawn.
fn in_table(text: &str) -> Costs {
    let rows = text.lines().filter(|line| line.starts_with('│') || line.contains(" │ "));
    let cells = rows.map(|line| line.split('│').map(str::trim).collect::<Vec<_>>());
    let cells = cells.filter(|cells| cells.len() > 4);
    cells.map(|cells| ((cells[1].to_owned(), cells[2].to_owned()), amount(cells[4]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_finds_what_the_last_hour_cost_by_client_and_model() {
    let demo = Demo::start().await;
    let by_curl = in_csv(&pasted(&demo.line("with curl ")));
    let in_sql = in_table(&pasted(&demo.line("in SQL ")));
    assert_eq!(by_curl, in_sql, "three ways, one answer");
    assert!(by_curl.len() > 5, "{by_curl:?}");
    let total = by_curl.values().flatten().fold(Pico(0), |sum, cost| Pico(sum.0 + cost.0));
    assert!(total.0 > 0, "{by_curl:?}");

    let Some(browser) = Browser::installed() else { return };
    let page = demo.line("in the browser ");
    let base = page.split("/?").next().unwrap().to_owned();
    let gateway = demo.line("gateway ").split_whitespace().next().unwrap().to_owned();
    let model = by_curl.keys().find(|(client, model)| client == "search" && model.starts_with("claude")).unwrap();
    let mut arguments = vec![base, page, gateway, "demo-key-search".to_owned(), model.1.clone()];
    arguments.push(total.to_string());
    browser.drive("demo.mjs", arguments).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_token_data_or_clickhouse_the_page_says_what_to_do() {
    let Some(browser) = Browser::installed() else { return };
    let guarded = format!("token = {{ plain = \"{TOKEN}\" }}");
    let stack = Stack::without_gateway(Plan { analytics: guarded, ..Plan::default() }, load::answer).await;
    let down = Analytics::start(&nowhere("")).await;
    let reader = stack.reader().with_key(TOKEN);
    eventually("the tables are there", tests::stack::ARRIVAL, || async {
        let answer = caller::read(reader.request(Method::GET, "/v1/usage")).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
    })
    .await;
    let arguments = vec![stack.analytics.url.clone(), down.url.clone(), TOKEN.to_owned()];
    browser.drive("troubles.mjs", arguments).await;
}

#[test]
fn amounts_are_shown_to_the_digit() {
    let output = Command::new("node").arg("--test").arg(folder().join("format.mjs")).output().expect("node");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("# fail 0"), "{told}");
    assert!(!told.contains("# pass 0"), "{told}");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// A Chromium of this machine's, and the packages that drive it.
struct Browser {
    chromium: PathBuf,
    modules: PathBuf,
}

impl Browser {
    /// `None`, and a word about it, where there is none: it comes from the system's packages.
    fn installed() -> Option<Self> {
        let chosen = std::env::var_os("WEIR_TEST_CHROMIUM").map(PathBuf::from);
        let usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].map(PathBuf::from);
        let Some(chromium) = chosen.into_iter().chain(usual).find(|path| path.exists()) else {
            println!("SKIPPED: there is no Chromium here (apt-get install chromium, or WEIR_TEST_CHROMIUM)");
            return None;
        };
        Some(Self { chromium, modules: modules() })
    }

    /// Runs a script of checks; the first that fails fails the test.
    async fn drive(&self, script: &'static str, arguments: Vec<String>) {
        let mut command = Command::new("node");
        command.arg(folder().join(script)).arg(&self.modules).arg(&self.chromium).args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().expect("node")).await.unwrap();
        let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!("{told}");
        assert!(output.status.success() && told.contains("ok "), "{script}:\n{told}\n{errors}");
    }
}

/// The folder with the pinned packages, filled once per set of pins.
fn modules() -> PathBuf {
    static ONCE: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    ONCE.get_or_init(install).clone()
}

fn install() -> PathBuf {
    let pins = std::fs::read(folder().join("package-lock.json")).expect("package-lock.json");
    let digest: String = Sha256::digest(&pins).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let modules = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("browser-{digest}"));
    let done = modules.join("installed");
    if done.exists() {
        return modules;
    }
    // Left half made by a run that was stopped.
    let _ = std::fs::remove_dir_all(&modules);
    std::fs::create_dir_all(&modules).expect("a folder for the packages");
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(folder().join(file), modules.join(file)).expect(file);
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&modules);
    let output = npm.output().expect("npm, which comes with Node");
    assert!(output.status.success(), "npm ci:\n{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(&done, "").expect("a mark beside the packages");
    modules
}
