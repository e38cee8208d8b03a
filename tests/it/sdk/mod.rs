//! The vendors' own clients work, and count what the bill counts.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use tests::configuration::KEY_A;
use tests::stack::{Plan, Stack};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use weir::simulate::{Answer, Ending, Options, Simulator};

mod vendor;

/// What a client's library says that an answer used; nothing where it was not told.
#[derive(Debug, Deserialize)]
struct Counted {
    check: String,
    request_id: Uuid,
    input: Option<u64>,
    cache_read: Option<u64>,
    output: Option<u64>,
    reasoning: Option<u64>,
}

#[tokio::test(flavor = "multi_thread")]
async fn official_clients_work_unmodified_and_agree_with_the_bill() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let simulator_url = format!("http://{}", listener.local_addr().unwrap());
    let options = Options { per_token: Duration::from_millis(1), ..Options::default() };
    let simulator = Simulator::new(options);
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();
    tokio::spawn({
        let simulator = simulator.clone();
        async move { simulator.serve(listener, end).await }
    });
    let plan = Plan {
        gateway: "request_body_max = \"256KiB\"".to_owned(),
        catalogue: tests::configuration::catalogue(&simulator_url),
        ..Plan::default()
    };
    let stack = Stack::planned(plan, |_| unreachable!("the simulated provider answers")).await;
    let counted = drive("drive.py", &stack).await;
    assert!(counted.len() >= 28, "{counted:?}");
    bill_is_the_providers(&stack, &simulator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropics_client_calls_tools_shows_images_thinks_counts_and_lists_models() {
    let counted = drive("scripted_anthropic.py", &Stack::start(vendor::answer).await).await;
    assert!(counted.len() >= 11, "{counted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_client_calls_tools_shows_images_reasons_and_lists_models() {
    let counted = drive("scripted_openai.py", &Stack::start(vendor::answer).await).await;
    assert!(counted.len() >= 29, "{counted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn googles_client_calls_tools_shows_images_thinks_counts_and_lists_models() {
    let counted = drive("scripted_google.py", &Stack::start(vendor::answer).await).await;
    assert!(counted.len() >= 22, "{counted:?}");
}

/// Runs a script against the stack's gateway; all that its clients counted stands in the bill.
async fn drive(script: &'static str, stack: &Stack) -> Vec<Counted> {
    let url = stack.gateway.as_ref().unwrap().url.clone();
    let python = tests::python::environment("requirements.txt").await;
    let run = move || {
        let mut command = Command::new(python);
        command
            .arg("-B")
            .arg(tests::python::folder().join(script))
            .args([url.as_str(), KEY_A])
            .output()
            .expect("python")
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {errors}");
    let counted: Vec<Counted> = told.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for counted in &counted {
        let row = stack.row(counted.request_id).await;
        assert_eq!(row.outcome, "completed", "{counted:?} {row:?}");
        assert!(row.user_agent.contains("Python") || row.user_agent.contains("google-genai"), "{row:?}");
        if counted.check.contains("count_tokens") {
            // Nothing was generated, and nothing is to pay.
            assert_eq!((row.operation.as_str(), row.output_tokens.unwrap_or(0)), ("count_tokens", 0), "{row:?}");
            let cost = row.cost_usd.as_deref().map_or(0.0, |cost| cost.parse().expect(cost));
            assert!(cost == 0.0 && row.input_tokens.unwrap_or(0) == 0, "{row:?}");
            continue;
        }
        if counted.input.is_some() {
            let recorded = (row.input_tokens, row.cache_read_tokens.or(Some(0)), row.output_tokens);
            assert_eq!(recorded, (counted.input, counted.cache_read, counted.output), "{}", counted.check);
        }
        if counted.reasoning.is_some() {
            assert_eq!(row.reasoning_tokens.or(Some(0)), counted.reasoning, "{}", counted.check);
        }
        assert_eq!(row.operation, "generate");
        assert!(row.output_tokens.is_some_and(|tokens| tokens > 0), "{}: {row:?}", counted.check);
    }
    counted
}

/// Every answer in the provider's own books that reached its end has its row, with the very tokens.
async fn bill_is_the_providers(stack: &Stack, simulator: &Simulator) {
    #[derive(Deserialize, Debug)]
    struct Billed {
        upstream_request_id: String,
        input_tokens: Option<u64>,
        cache_read_tokens: Option<u64>,
        cache_write_1h_tokens: Option<u64>,
        output_tokens: Option<u64>,
    }
    let completed: Vec<Answer> =
        simulator.tally().answers.into_iter().filter(|answer| answer.ending == Ending::Completed).collect();
    let sql = "SELECT upstream_request_id, input_tokens, cache_read_tokens, \
               cache_write_1h_tokens, output_tokens FROM {db}.requests WHERE outcome = 'completed'";
    let rows = tests::eventually("every answer is billed", tests::stack::ARRIVAL, || async {
        let rows: Vec<Billed> = stack.database.try_rows(sql).await?;
        if rows.len() == completed.len() { Ok(rows) } else { Err(format!("{} of {}", rows.len(), completed.len())) }
    })
    .await;
    let rows: BTreeMap<String, Billed> = rows.into_iter().map(|row| (row.upstream_request_id.clone(), row)).collect();
    for answer in &completed {
        let row = rows.get(&answer.request_id).unwrap_or_else(|| panic!("no row for {answer:?}"));
        let usage = &answer.usage;
        let recorded = [row.input_tokens, row.cache_read_tokens, row.output_tokens];
        assert_eq!(recorded, [usage.input, usage.cache_read, usage.output], "{answer:?}");
        assert_eq!(row.cache_write_1h_tokens.unwrap_or(0), usage.cache_write_1h.unwrap_or(0), "{answer:?}");
    }
    assert!(completed.iter().any(|answer| answer.usage.cache_write_1h > Some(0)), "a cache was written for an hour");
}
