//! Any body, with any status, is survived in every format.

#![no_main]

use gateway::formats::{read_body, read_error};
use libfuzzer_sys::fuzz_target;
use schemas::outcome::Format;

fuzz_target!(|body: &[u8]| {
    let status = 500;
    for format in Format::ALL.iter().copied() {
        let reading = read_body(format, body);
        assert!(!(reading.completed && reading.error.is_some()));
        let usage = reading.usage();
        if let (Some(input), Some(fresh)) = (usage.input, usage.fresh_input) {
            assert!(fresh <= input, "{usage:?}");
        }
        assert_eq!(read_error(format, status, body).status, Some(status));
    }
});
