//! Rows read through the `clickhouse` crate.

use std::time::Duration;

use clickhouse::Compression;

use crate::engine::{Engine, eventually};

#[tokio::test]
async fn parameters_arrive_as_they_were_given() {
    let engine = Engine::start().await;
    let client = engine.client();
    for text in ["", "it's", "a\tb\nc", "back\\slash", "\"`{x:String}`\"", "caf\u{e9} \u{1f600}", "1; SELECT 2"] {
        let bound = client.query("SELECT ?").bind(text).fetch_one::<String>().await.expect(text);
        let param = client.query("SELECT {x:String}").param("x", text).fetch_one::<String>().await.expect(text);
        assert_eq!((bound.as_str(), param.as_str()), (text, text));
    }
    let sum = client
        .query("SELECT arraySum({list:Array(UInt64)})")
        .param("list", vec![1_u64, 2, 39])
        .fetch_one::<u64>()
        .await;
    assert_eq!(sum.expect("a sum"), 42);
    let none = client.query("SELECT {x:Nullable(UInt64)}").param("x", None::<u64>).fetch_one::<Option<u64>>().await;
    assert_eq!(none.expect("a row"), None);
}

#[tokio::test]
async fn results_of_any_size_come_back() {
    let engine = Engine::start().await;
    for client in
        [engine.client(), engine.client().with_compression(Compression::None), engine.client().with_validation(false)]
    {
        for rows in [0_u64, 1, 65_409, 1_000_000] {
            let mut cursor = client.query("SELECT number FROM numbers(?)").bind(rows).fetch::<u64>().expect("a query");
            let mut expected = 0;
            while let Some(number) = cursor.next().await.expect("a row") {
                assert_eq!(number, expected);
                expected += 1;
            }
            assert_eq!(expected, rows);
        }
    }
    assert_eq!(engine.client().query("SELECT 1 WHERE 0").fetch_optional::<u8>().await.expect("an answer"), None);
}

#[tokio::test]
async fn an_exception_behind_a_million_rows_is_no_end_of_the_rows() {
    let engine = Engine::start().await;
    let sql = "SELECT number + throwIf(number = 2000000) FROM numbers(3000000) SETTINGS max_block_size = 10000";
    for client in [engine.client(), engine.client().with_compression(Compression::None)] {
        let mut cursor = client.query(sql).fetch::<u64>().expect("a query");
        let mut rows = 0;
        let error = loop {
            match cursor.next().await {
                Ok(Some(_)) => rows += 1,
                Ok(None) => panic!("the rows seem complete after {rows}"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(rows > 0, "the exception came first");
        assert!(error.contains("Code: 395") && error.contains("FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"), "{error}");
    }
    // A client that knows nothing of marked exceptions sees a body that was broken off.
    let answer = engine.post(sql, &[]).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.is_err(), "the body seems complete");
}

#[tokio::test]
async fn what_nobody_waits_for_is_cancelled() {
    let engine = Engine::start().await;
    // One that streams, one that returns nothing for years, and one that is run as a whole.
    let streaming = "SELECT number, 'marked-1' FROM numbers(1000000000000)";
    let silent = "SELECT sum(sipHash64(number)), 'marked-2' FROM numbers(1000000000000)";
    let whole = "SELECT sum(sipHash64(number)), 'marked-3' FROM numbers(1000000000000) FORMAT JSON";
    let running = async || {
        engine
            .number(
                "SELECT count() FROM system.processes WHERE query LIKE '%marked-_%' AND query NOT LIKE '%processes%'",
            )
            .await
    };
    let clients: Vec<_> = [streaming, silent, whole]
        .into_iter()
        .map(|sql| {
            let request = engine.http.post(engine.url()).body(sql);
            tokio::spawn(async move {
                let _held = request.send().await;
                tokio::time::sleep(Duration::from_secs(3600)).await;
            })
        })
        .collect();
    eventually("all three are running", async || running().await == 3).await;
    for client in clients {
        client.abort();
    }
    eventually("none of them is running", async || running().await == 0).await;
}

#[tokio::test]
async fn limits_are_the_engines_own() {
    let engine = Engine::start().await;
    let failing = async |setting: &str, value: &str, sql: &str| {
        engine
            .client()
            .with_setting(setting, value)
            .query(sql)
            .fetch_all::<u64>()
            .await
            .expect_err("a limit")
            .to_string()
    };
    let endless = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)";
    assert!(failing("max_execution_time", "1", endless).await.contains("Code: 159"));
    assert!(failing("max_result_rows", "10", "SELECT number FROM numbers(100)").await.contains("Code: 396"));
    assert!(
        failing(
            "max_memory_usage",
            "1000000",
            "SELECT count() FROM (SELECT number FROM numbers(10000000) GROUP BY number)"
        )
        .await
        .contains("Code: 241")
    );
    assert!(failing("no_such_setting", "1", "SELECT 1").await.contains("Code: 115"));
}
