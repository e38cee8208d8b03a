//! `GET /openapi.json`: what can be asked, and what the answers look like.

use axum::extract::RawQuery;
use axum::http::header;
use axum::response::IntoResponse;

use crate::error::Error;
use crate::params;

const DOCUMENT: &str = include_str!("openapi.json");

/// Answers one request.
pub async fn answer(RawQuery(query): RawQuery) -> Result<impl IntoResponse, Error> {
    params::none(query.as_deref().unwrap_or_default())?;
    Ok(([(header::CONTENT_TYPE, "application/json")], DOCUMENT))
}

#[cfg(test)]
mod tests {
    use ::clickhouse::Row;
    use serde_json::Value;

    use super::*;
    use crate::audit::{Checks, Difference, Sums};
    use crate::queries::{
        Adjustment, Bodies, Candidate, Costs, Failures, Latency, Opened, PriceTier, Providers, Request, Usage,
    };

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    fn required(schema: &str) -> Vec<String> {
        serde_json::from_value(document()["components"]["schemas"][schema]["required"].clone()).unwrap()
    }

    #[test]
    fn every_path_is_in_it() {
        let document = document();
        let mut described: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        let routes = include_str!("../server.rs").split(".route(\"").skip(1);
        let mut served: Vec<&str> = routes.filter_map(|route| route.split('"').next()).collect();
        described.sort_unstable();
        served.sort_unstable();
        assert_eq!(described, served);
    }

    #[test]
    fn every_column_of_every_answer_is_in_it() {
        fn check<T: Row>(schema: &str) {
            let labels = ["bucket", "groups"];
            let mut columns: Vec<&str> = T::COLUMN_NAMES.to_vec();
            columns.retain(|column| !schema.ends_with("Row") || !labels.contains(column));
            assert_eq!(required(schema), columns, "{schema}");
        }
        check::<Usage>("UsageRow");
        check::<Costs>("CostsRow");
        check::<Latency>("LatencyRow");
        check::<Failures>("FailuresRow");
        check::<Providers>("ProvidersRow");
        check::<Request>("Request");
        check::<Opened>("Opened");
        check::<Candidate>("Candidate");
        check::<Bodies>("Bodies");
        check::<Adjustment>("Adjustment");
        check::<PriceTier>("PriceTier");
        check::<Sums>("AuditSums");
        check::<Checks>("AuditChecks");
        check::<Difference>("AuditRollup");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        for reference in DOCUMENT.split(r##""$ref": "#"##).skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
