//! What cannot be stored is kept with its reason, event by event, and is stored once when it can be.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use schemas::events::{Body, Opened, Place, Prepared};
use schemas::outcome::{Format, Kind, Operation};
use schemas::subjects;
use schemas::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::stack::{ARRIVAL, Stack};
use tests::{binaries, eventually, load};
use uuid::Uuid;

/// A ledger of nobody's, whose events the test publishes itself.
const EPOCH: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0005);

/// The line of an opened event of `client`.
fn line(seq: u64, client: &str) -> Vec<u8> {
    let opened = Opened {
        client: client.to_owned(),
        user: None,
        tags: BTreeMap::new(),
        format: Format::Anthropic,
        operation: Operation::Generate,
        is_stream: true,
        model_requested: "m".to_owned(),
        model: "m".to_owned(),
        request_bytes: 10,
        received_at: Timestamp::now(),
        client_request_id: None,
        user_agent: None,
    };
    let prepared = Prepared::new(Uuid::now_v7(), Timestamp::now(), &Body::Opened(Box::new(opened))).unwrap();
    let mut line = Vec::new();
    prepared.seal_into(Place { epoch: EPOCH, partition: 0, seq, gateway: "nobody" }, &mut line).unwrap();
    line
}

/// The pipeline, and an operator beside it.
struct Operator {
    stack: Stack,
    folder: TempDir,
    context: async_nats::jetstream::Context,
}

#[derive(Debug, Deserialize)]
struct Letter {
    partition: u16,
    incarnation: u32,
    stream_seq: u64,
    line: u32,
    stage: String,
    reason: String,
    seq: Option<u64>,
    payload: String,
}

impl Letter {
    fn id(&self) -> String {
        format!("v1:{}:{}:{}:{}", self.partition, self.incarnation, self.stream_seq, self.line)
    }
}

#[derive(Debug, Deserialize)]
struct Count {
    count: u64,
}

impl Operator {
    /// Begins with one request recorded, so that streams and tables are there.
    async fn new() -> Self {
        let stack = Stack::start(load::answer).await;
        let (id, _) = load::send_one(&stack.caller(), 0).await;
        stack.row(id).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("weir.toml"), stack.settings.text()).unwrap();
        let client = async_nats::connect(stack.broker.url()).await.unwrap();
        Self { stack, folder, context: async_nats::jetstream::new(client) }
    }

    async fn publish(&self, lines: &[&[u8]]) {
        let subject = subjects::subject(Kind::Stream, 0);
        self.context.publish(subject, lines.join(&b'\n').into()).await.unwrap().await.unwrap();
    }

    /// The letters, once there are so many.
    async fn letters(&self, count: usize) -> Vec<Letter> {
        eventually(&format!("{count} dead letters"), ARRIVAL, || async {
            let sql = "SELECT * FROM {db}.dead_letters ORDER BY stream_seq, line";
            let letters: Vec<Letter> = self.stack.database.try_rows(sql).await?;
            if letters.len() == count { Ok(letters) } else { Err(format!("{letters:?}")) }
        })
        .await
    }

    /// How many rows an event of the test has, by plain count().
    async fn rows(&self, seq: u64) -> u64 {
        let sql = format!("SELECT count() AS count FROM {{db}}.opened WHERE epoch = '{EPOCH}' AND seq = {seq}");
        self.stack.database.rows::<Count>(&sql).await[0].count
    }

    async fn arrived(&self, seq: u64) {
        eventually(&format!("event {seq}"), ARRIVAL, || async {
            let rows = self.rows(seq).await;
            if rows == 1 { Ok(()) } else { Err(format!("{rows} rows")) }
        })
        .await;
    }

    /// `weir dead-letters ...`: its exit code and what it prints.
    async fn weir(&self, arguments: &[&str]) -> (i32, String) {
        let config = self.folder.path().join("weir.toml");
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let output = tokio::task::spawn_blocking(move || {
            let mut command = Command::new(binaries::path("weir"));
            command.arg("dead-letters").args(arguments).arg("--config").arg(config).output().unwrap()
        });
        let output = output.await.unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code().unwrap(), text)
    }

    async fn dead_letters_in_audit(&self) -> Value {
        let report = self.stack.reader().get_json("/v1/audit?from=-1h").await;
        let of_ledger = report["ledgers"].as_array().unwrap().iter().find(|ledger| ledger["epoch"] == json!(EPOCH));
        let of_ledger = of_ledger.unwrap_or_else(|| panic!("{report}"));
        json!([report["checks"]["dead_letters"], of_ledger["dead_letters"], of_ledger["duplicate"]])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_pack_costs_one_event_and_not_its_neighbours() {
    let operator = Operator::new().await;
    operator.publish(&[&line(1, "a"), b"{\"v\":1,\"kind\":\"stream\"\xff", &line(2, "b")]).await;
    let unknown = String::from_utf8(line(3, "c")).unwrap().replacen("\"v\":1", "\"v\":99", 1);
    assert!(unknown.contains("\"v\":99"), "{unknown}");
    operator.publish(&[unknown.as_bytes()]).await;
    operator.arrived(1).await;
    operator.arrived(2).await;
    let letters = operator.letters(2).await;
    assert!(letters.iter().all(|letter| letter.stage == "decode"), "{letters:?}");
    // What has no readable head has no number; what is of another release has.
    assert_eq!((letters[0].seq, letters[1].seq), (None, Some(3)), "{letters:?}");
    assert_eq!(letters[1].payload, unknown);
    assert!(letters[1].reason.contains("99"), "{letters:?}");
    assert_eq!(operator.dead_letters_in_audit().await, json!([2, 1, 0]));

    // The stream of dead letters has the same, and under the same names.
    let stream = operator.context.get_stream(subjects::DEAD_LETTER_STREAM).await.unwrap();
    let message = stream.get_raw_message(2).await.unwrap();
    assert_eq!(message.payload, unknown.as_bytes());
    assert_eq!(message.headers.get("Nats-Msg-Id").unwrap().as_str(), letters[1].id());

    let (code, list) = operator.weir(&["list"]).await;
    assert!(code == 0 && letters.iter().all(|letter| list.contains(&letter.id())), "{list}");
    let (_, some) = operator.weir(&["list", "--since", "1h", "--stage", "decode", "--reason", "99"]).await;
    assert!(some.contains(&letters[1].id()) && !some.contains(&letters[0].id()), "{some}");
    let (code, shown) = operator.weir(&["show", &letters[1].id()]).await;
    assert!(code == 0 && shown.contains(&unknown) && shown.contains(&EPOCH.to_string()), "{shown}");

    // Sent again, they are what they were: no row, no second letter, and it is told.
    let (code, told) = operator.weir(&["replay", "--open"]).await;
    assert_eq!((code, told.matches("unreadable: ").count()), (1, 2), "{told}");
    assert_eq!((operator.letters(2).await.len(), operator.rows(3).await), (2, 0));
    let (_, list) = operator.weir(&["list"]).await;
    assert_eq!(list.matches("unreadable").count(), 2, "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_clickhouse_refuses_is_stored_once_when_it_is_sent_again_after_the_repair() {
    let operator = Operator::new().await;
    let alter = |what: &str| format!("ALTER TABLE {{db}}.opened {what}");
    let constraint = "ADD CONSTRAINT no_strangers CHECK client != 'stranger'";
    let _: Vec<Value> = operator.stack.database.rows(&alter(constraint)).await;
    let lines = [line(1, "a"), line(2, "stranger"), line(3, "b"), line(4, "stranger")];
    operator.publish(&lines.each_ref().map(Vec::as_slice)).await;
    operator.arrived(1).await;
    operator.arrived(3).await;
    let letters = operator.letters(2).await;
    assert!(
        letters.iter().all(|letter| letter.stage == "insert" && letter.reason.contains("no_strangers")),
        "{letters:?}"
    );
    assert_eq!((letters[0].seq, letters[1].seq), (Some(2), Some(4)));
    assert_eq!(operator.dead_letters_in_audit().await, json!([2, 2, 0]));

    let (code, told) = operator.weir(&["replay", &letters[0].id()]).await;
    assert!(code == 1 && told.contains("refused: ") && told.contains("no_strangers"), "{told}");
    assert_eq!(operator.rows(2).await, 0);

    let _: Vec<Value> = operator.stack.database.rows(&alter("DROP CONSTRAINT no_strangers")).await;
    let (code, told) = operator.weir(&["replay", &letters[0].id()]).await;
    assert!(code == 0 && told.contains(&format!("{}  stored", letters[0].id())), "{told}");
    assert_eq!((operator.rows(2).await, operator.rows(4).await), (1, 0));
    assert_eq!(operator.dead_letters_in_audit().await, json!([1, 1, 0]), "one is stored and no duplicate");

    // Again, and all: what is there is known, what is not is stored, and nothing is there twice.
    let (code, told) = operator.weir(&["replay", &letters[0].id(), &letters[1].id()]).await;
    let expected = [format!("{}  known", letters[0].id()), format!("{}  stored", letters[1].id())];
    assert!(code == 0 && expected.iter().all(|line| told.contains(line)), "{told}");
    for seq in 1..=4 {
        assert_eq!(operator.rows(seq).await, 1, "event {seq}");
    }
    assert_eq!(operator.dead_letters_in_audit().await, json!([0, 0, 0]));
    let (code, list) = operator.weir(&["list"]).await;
    assert!(code == 0 && list.contains("no such dead letters"), "{list}");
    let (_, all) = operator.weir(&["list", "--all"]).await;
    assert_eq!((all.matches("known").count(), all.matches("stored").count()), (1, 1), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_that_ends_in_the_middle_of_a_replay_stores_it_once() {
    let mut operator = Operator::new().await;
    let constraint = "ALTER TABLE {db}.opened ADD CONSTRAINT no_strangers CHECK client != 'stranger'";
    let _: Vec<Value> = operator.stack.database.rows(constraint).await;
    let lines: Vec<Vec<u8>> = (1..=40).map(|seq| line(seq, if seq % 2 == 0 { "stranger" } else { "a" })).collect();
    let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
    operator.publish(&lines).await;
    operator.letters(20).await;
    let _: Vec<Value> = operator.stack.database.rows("ALTER TABLE {db}.opened DROP CONSTRAINT no_strangers").await;
    drop(operator.stack.recorder.take());
    let (code, told) = operator.weir(&["replay", "--open", "--wait", "100ms"]).await;
    assert!(code == 2 && told.contains("has not come to it yet"), "{told}");
    for round in 0..6 {
        operator.stack.replace_recorder().await;
        tokio::time::sleep(Duration::from_millis(60 * round)).await;
    }
    for seq in 1..=40 {
        operator.arrived(seq).await;
    }
    let (code, told) = operator.weir(&["replay", "--open"]).await;
    assert!(code == 0 && told.contains("no such dead letters"), "{told}");
}
