//! What holds of every bill.

use proptest::prelude::*;

use super::{Price, Tier};
use crate::money::{Factor, Pico};
use crate::time::Timestamp;
use crate::usage::Usage;

/// Counts of fresh input, cache reads, writes for five minutes, writes for an hour, and output.
type Counts = [u64; 5];

fn usage(counts: Counts) -> Usage {
    let [fresh, read, write_5m, write_1h, output] = counts;
    Usage {
        input: Some(fresh + read + write_5m + write_1h),
        fresh_input: Some(fresh),
        cache_read: Some(read),
        cache_write_5m: Some(write_5m),
        cache_write_1h: Some(write_1h),
        output: Some(output),
        reasoning: None,
    }
}

fn tier(over_input_tokens: u64, rates: [i128; 5]) -> Tier {
    let [input, output, read, write_5m, write_1h] = rates.map(Pico);
    Tier {
        over_input_tokens,
        input,
        output,
        cache_read: Some(read),
        cache_write_5m: Some(write_5m),
        cache_write_1h: Some(write_1h),
    }
}

fn price(tiers: Vec<Tier>, per_request: Pico) -> Price {
    Price {
        id: "p/m@2026-01-01".to_owned(),
        provider: "p".to_owned(),
        first_party: false,
        models: vec!["m".to_owned()],
        aliases: Vec::new(),
        valid_from: Timestamp::default(),
        valid_until: None,
        hours: None,
        is_reported: false,
        source: "https://example.com".to_owned(),
        tiers,
        per_request,
    }
}

/// Up to a hundred dollars per million, in any whole number of pico-dollars per token.
fn rates() -> impl Strategy<Value = [i128; 5]> {
    prop::array::uniform5(0_i128..100_000_000)
}

fn counts() -> impl Strategy<Value = Counts> {
    prop::array::uniform5(prop_oneof![Just(0_u64), 0_u64..10, 0_u64..2_000_000])
}

fn added(a: Counts, b: Counts) -> Counts {
    std::array::from_fn(|kind| a[kind] + b[kind])
}

fn cost(price: &Price, counts: Counts) -> Pico {
    price.cost(&usage(counts), Factor::ONE).expect("every kind has a price")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_bill_is_the_sum_of_the_bills_of_its_parts(rates in rates(), a in counts(), b in counts()) {
        let price = price(vec![tier(0, rates)], Pico::ZERO);
        prop_assert_eq!(cost(&price, added(a, b)), cost(&price, a) + cost(&price, b));
        let kinds: Pico = (0..5).map(|kind| {
            let mut only = [0; 5];
            only[kind] = a[kind];
            cost(&price, only)
        }).sum();
        prop_assert_eq!(cost(&price, a), kinds);
    }

    #[test]
    fn a_fee_is_added_once(rates in rates(), a in counts(), fee in 0_i128..1_000_000_000_000) {
        let without = price(vec![tier(0, rates)], Pico::ZERO);
        let with = price(vec![tier(0, rates)], Pico(fee));
        prop_assert_eq!(cost(&with, a), cost(&without, a) + Pico(fee));
    }

    #[test]
    fn more_tokens_never_cost_less(base in rates(), more in rates(), edge in 1_u64..2_000_000, a in counts(), b in counts()) {
        // The upper tier is no cheaper in any kind, as every provider's is.
        let upper: [i128; 5] = std::array::from_fn(|kind| base[kind] + more[kind]);
        let price = price(vec![tier(0, base), tier(edge, upper)], Pico::ZERO);
        prop_assert!(cost(&price, added(a, b)) >= cost(&price, a));
    }

    #[test]
    fn a_multiplier_is_within_half_a_pico_dollar_of_exact(rates in rates(), a in counts(), nano in 0_i128..2_000_000_000) {
        let price = price(vec![tier(0, rates)], Pico::ZERO);
        let factor: Factor = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000).parse().unwrap();
        let billed = price.cost(&usage(a), factor).unwrap();
        let exact_times_nano = cost(&price, a).0 * nano;
        prop_assert!((billed.0 * 1_000_000_000 - exact_times_nano).abs() * 2 <= 1_000_000_000);
    }

    #[test]
    fn nothing_within_the_bounds_costs_more_than_the_most(
        base in rates(), more in rates(), edge in 1_u64..2_000_000, a in counts(), spare in 0_u64..1000, nano in 0_i64..2_000_000_000
    ) {
        let price = price(vec![tier(0, base), tier(edge, more)], Pico(7));
        let (usage, multiplier) = (usage(a), Factor::from_nano(nano));
        let (input, output) = (usage.input.unwrap() + spare, usage.output.unwrap());
        prop_assert!(price.cost(&usage, multiplier).unwrap() <= price.most(input, output, multiplier).unwrap());
    }
}
