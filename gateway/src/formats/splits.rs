//! Any stream, however it is split, reads the same and passes unchanged: for all formats, over fragments of real
//! streams, their broken halves and noise.

use bytes::Bytes;
use proptest::prelude::*;
use schemas::outcome::Format;

use super::corpus::relay;

const FRAGMENTS: &[&str] = &[
    "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"h\u{e9} \\\"usage\\\":{\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\n",
    "data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":1}}\n\n",
    "data: [DONE]\n\n",
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"\\ud83d\\ude00\"}}\n\n",
    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\n",
    "data: {\"type\":\"message_stop\"}\n\n",
    "data: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n",
    "data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"usage\":{\"input_tokens\":2}}}\n\n",
    "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a]}\"}]},\"finishReason\":\"STOP\"}]}\n,{\"usageMetadata\":{}}]",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}],\"usageMetadata\":{\"promptTokenCount\":1}}\n\n",
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"t\"}}\n\n",
    "{\n \"error\": {\"code\": 500}\n}\n",
    "error: x\n",
    "event: error\n",
    "data: {\"err",
    ": c\n",
    ": half a comment",
    "\n",
    "\u{feff}",
    "data\n\n",
    "id: 7\n",
    "  ",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_split_reads_the_same(
        format in prop::sample::select(Format::ALL),
        fragments in prop::collection::vec(prop::sample::select(FRAGMENTS), 0..10),
        line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        noise in prop::collection::vec(any::<u8>(), 0..6),
        sizes in prop::collection::vec(1usize..40, 1..20),
        hides_usage in any::<bool>(),
    ) {
        let mut stream = fragments.concat().replace('\n', line_end).into_bytes();
        stream.extend(noise);
        let stream = Bytes::from(stream);
        let (whole, expected) = relay(format, hides_usage, &stream, &[stream.len().max(1)]);
        let (forwarded, reader) = relay(format, hides_usage, &stream, &sizes);
        prop_assert_eq!(reader.reading(), expected.reading());
        prop_assert_eq!(reader.is_ended(), expected.is_ended());
        prop_assert_eq!(&forwarded, &whole);
        if !hides_usage || format != Format::OpenaiChat {
            prop_assert_eq!(&forwarded[..], &stream[..]);
        }
    }
}
