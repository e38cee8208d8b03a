//! Bills worked out by hand: the sum of tokens times dollars per million stands above each.

/// The model, which stands for its prices and its format; the provider's own usage object; what the request costs.
pub const BILLS: &[(&str, &str, &str)] = &[
    // Anthropic: the cache stands beside the input.
    // 1 x 3 + 1 x 15
    ("c-flat", r#"{"input_tokens":1,"output_tokens":1}"#, "0.000018000000"),
    // 7 x 3
    ("c-flat", r#"{"input_tokens":7,"output_tokens":0}"#, "0.000021000000"),
    // 1 x 0.30 + 1 x 15
    (
        "c-flat",
        r#"{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":1,"output_tokens":1}"#,
        "0.000015300000",
    ),
    // 10 x 3 + 1,000 x 0.30 + 7 x 15
    (
        "c-flat",
        r#"{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":1000,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":7}"#,
        "0.000435000000",
    ),
    // 10 x 3 + 100 x 3.75 + 7 x 15
    (
        "c-flat",
        r#"{"input_tokens":10,"cache_creation_input_tokens":100,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":0},"output_tokens":7}"#,
        "0.000510000000",
    ),
    // 10 x 3 + 100 x 6 + 7 x 15
    (
        "c-flat",
        r#"{"input_tokens":10,"cache_creation_input_tokens":100,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":100},"output_tokens":7}"#,
        "0.000735000000",
    ),
    // 13 x 3 + 17 x 0.30 + 19 x 3.75 + 23 x 6 + 29 x 15
    (
        "c-flat",
        r#"{"input_tokens":13,"cache_creation_input_tokens":42,"cache_read_input_tokens":17,"cache_creation":{"ephemeral_5m_input_tokens":19,"ephemeral_1h_input_tokens":23},"output_tokens":29}"#,
        "0.000688350000",
    ),
    // Written to the cache without a word on how long: five minutes, the default.
    // 3 x 3 + 33 x 3.75 + 1 x 15
    (
        "c-flat",
        r#"{"input_tokens":3,"cache_creation_input_tokens":33,"cache_read_input_tokens":0,"output_tokens":1}"#,
        "0.000147750000",
    ),
    // 1,234 x 3 + 98,765 x 0.30 + 77 x 3.75 + 11 x 6 + 321 x 15
    (
        "c-flat",
        r#"{"input_tokens":1234,"cache_creation_input_tokens":88,"cache_read_input_tokens":98765,"cache_creation":{"ephemeral_5m_input_tokens":77,"ephemeral_1h_input_tokens":11},"output_tokens":321}"#,
        "0.038501250000",
    ),
    // 999,999 x 3 + 999,999 x 0.30 + 999,999 x 3.75 + 999,999 x 6 + 999,999 x 15
    (
        "c-flat",
        r#"{"input_tokens":999999,"cache_creation_input_tokens":1999998,"cache_read_input_tokens":999999,"cache_creation":{"ephemeral_5m_input_tokens":999999,"ephemeral_1h_input_tokens":999999},"output_tokens":999999}"#,
        "28.049971950000",
    ),
    // Thinking is part of the output, a search is not a token.
    // 50 x 3 + 4,000 x 15
    (
        "c-flat",
        r#"{"input_tokens":50,"output_tokens":4000,"output_tokens_details":{"thinking_tokens":3900}}"#,
        "0.060150000000",
    ),
    // 2,048 x 3 + 512 x 15
    (
        "c-flat",
        r#"{"input_tokens":2048,"output_tokens":512,"server_tool_use":{"web_search_requests":3}}"#,
        "0.013824000000",
    ),
    // Tiers: 200,000 tokens of input, cached ones included, are not above 200,000; one more is, for every token.
    // 199,999 x 3 + 1 x 15
    ("c-tier", r#"{"input_tokens":199999,"output_tokens":1}"#, "0.600012000000"),
    // 200,000 x 3 + 1 x 15
    ("c-tier", r#"{"input_tokens":200000,"output_tokens":1}"#, "0.600015000000"),
    // 200,001 x 6 + 1 x 22.50
    ("c-tier", r#"{"input_tokens":200001,"output_tokens":1}"#, "1.200028500000"),
    // 1 x 3 + 199,999 x 0.30 + 2 x 15
    (
        "c-tier",
        r#"{"input_tokens":1,"cache_creation_input_tokens":0,"cache_read_input_tokens":199999,"output_tokens":2}"#,
        "0.060032700000",
    ),
    // 2 x 6 + 199,999 x 0.60 + 2 x 22.50
    (
        "c-tier",
        r#"{"input_tokens":2,"cache_creation_input_tokens":0,"cache_read_input_tokens":199999,"output_tokens":2}"#,
        "0.120056400000",
    ),
    // 1 x 3 + 100,000 x 0.30 + 50,000 x 3.75 + 49,999 x 6 + 2 x 15
    (
        "c-tier",
        r#"{"input_tokens":1,"cache_creation_input_tokens":99999,"cache_read_input_tokens":100000,"cache_creation":{"ephemeral_5m_input_tokens":50000,"ephemeral_1h_input_tokens":49999},"output_tokens":2}"#,
        "0.517527000000",
    ),
    // 1 x 6 + 100,000 x 0.60 + 50,000 x 7.50 + 50,000 x 12 + 2 x 22.50
    (
        "c-tier",
        r#"{"input_tokens":1,"cache_creation_input_tokens":100000,"cache_read_input_tokens":100000,"cache_creation":{"ephemeral_5m_input_tokens":50000,"ephemeral_1h_input_tokens":50000},"output_tokens":2}"#,
        "1.035051000000",
    ),
    // 5 x 3 + 200,001 x 15
    ("c-tier", r#"{"input_tokens":5,"output_tokens":200001}"#, "3.000030000000"),
    // 1,000,000 x 6 + 7 x 0.60 + 4 x 7.50 + 5 x 12 + 64,000 x 22.50
    (
        "c-tier",
        r#"{"input_tokens":1000000,"cache_creation_input_tokens":9,"cache_read_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":5},"output_tokens":64000}"#,
        "7.440094200000",
    ),
    // A key that costs a tenth more.
    // (1 x 3 + 1 x 15) x 1.1
    ("c-dear", r#"{"input_tokens":1,"output_tokens":1}"#, "0.000019800000"),
    // (33 x 3 + 3 x 0.30 + 7 x 3.75 + 1 x 6 + 9 x 15) x 1.1
    (
        "c-dear",
        r#"{"input_tokens":33,"cache_creation_input_tokens":8,"cache_read_input_tokens":3,"cache_creation":{"ephemeral_5m_input_tokens":7,"ephemeral_1h_input_tokens":1},"output_tokens":9}"#,
        "0.000293865000",
    ),
    // (123,457 x 3 + 654,321 x 0.30 + 11 x 3.75 + 8,191 x 15) x 1.1
    (
        "c-dear",
        r#"{"input_tokens":123457,"cache_creation_input_tokens":11,"cache_read_input_tokens":654321,"cache_creation":{"ephemeral_5m_input_tokens":11,"ephemeral_1h_input_tokens":0},"output_tokens":8191}"#,
        "0.758530905000",
    ),
    // Chat Completions: the cache is part of the prompt, reasoning part of the completion.
    // 1 x 0.15 + 1 x 0.60
    ("g-flat", r#"{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}"#, "0.000000750000"),
    // 2,007 x 0.15 + 1,023 x 0.075 + 499 x 0.60
    (
        "g-flat",
        r#"{"prompt_tokens":3030,"completion_tokens":499,"total_tokens":3529,"prompt_tokens_details":{"cached_tokens":1023}}"#,
        "0.000677175000",
    ),
    // 128 x 0.075 + 128 x 0.60
    (
        "g-flat",
        r#"{"prompt_tokens":128,"completion_tokens":128,"total_tokens":256,"prompt_tokens_details":{"cached_tokens":128}}"#,
        "0.000086400000",
    ),
    // 93 x 0.15 + 1,024 x 0.075 + 46 x 0.60
    (
        "g-flat",
        r#"{"prompt_tokens":1117,"completion_tokens":46,"total_tokens":1163,"prompt_tokens_details":{"cached_tokens":1024},"completion_tokens_details":{"reasoning_tokens":0}}"#,
        "0.000118350000",
    ),
    // 20 x 0.15 + 1,355 x 0.60
    (
        "g-flat",
        r#"{"prompt_tokens":20,"completion_tokens":1355,"total_tokens":1375,"completion_tokens_details":{"reasoning_tokens":1084}}"#,
        "0.000816000000",
    ),
    // xAI counts reasoning beside the completion; the total tells.
    // 288 x 0.15 + 377 x 0.60
    (
        "g-flat",
        r#"{"prompt_tokens":288,"completion_tokens":27,"total_tokens":665,"completion_tokens_details":{"reasoning_tokens":350}}"#,
        "0.000269400000",
    ),
    // 432 x 0.15 + 204 x 0.60
    (
        "g-flat",
        r#"{"prompt_tokens":432,"completion_tokens":136,"total_tokens":636,"completion_tokens_details":{"reasoning_tokens":68}}"#,
        "0.000187200000",
    ),
    // Other spellings of the cached part.
    // 70 x 0.15 + 30 x 0.075 + 5 x 0.60
    (
        "g-flat",
        r#"{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105,"prompt_cache_hit_tokens":30,"prompt_cache_miss_tokens":70}"#,
        "0.000015750000",
    ),
    // 200 x 0.15 + 200 x 0.075 + 100 x 0.1875 + 10 x 0.60
    (
        "g-flat",
        r#"{"prompt_tokens":500,"completion_tokens":10,"total_tokens":510,"prompt_tokens_details":{"cached_tokens":200,"cache_write_tokens":100}}"#,
        "0.000069750000",
    ),
    // A provider that rounds cached tokens up to blocks: nothing of the prompt was fresh.
    // 128 x 0.075 + 1 x 0.60
    (
        "g-flat",
        r#"{"prompt_tokens":100,"completion_tokens":1,"total_tokens":101,"prompt_tokens_details":{"cached_tokens":128}}"#,
        "0.000010200000",
    ),
    // Prices of six digits per million.
    // 1 x 0.0375 + 1 x 0.123457
    ("g-fine", r#"{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}"#, "0.000000160957"),
    // 7 x 0.0375 + 2 x 0.000001 + 7 x 0.123457
    (
        "g-fine",
        r#"{"prompt_tokens":9,"completion_tokens":7,"total_tokens":16,"prompt_tokens_details":{"cached_tokens":2}}"#,
        "0.000001126701",
    ),
    // 499,994 x 0.0375 + 500,009 x 0.000001 + 999,983 x 0.123457
    (
        "g-fine",
        r#"{"prompt_tokens":1000003,"completion_tokens":999983,"total_tokens":1999986,"prompt_tokens_details":{"cached_tokens":500009}}"#,
        "0.142205176240",
    ),
    // A fee per request.
    // 1 x 1 + 1 x 2, and 0.0025 dollars
    ("g-fee", r#"{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}"#, "0.002503000000"),
    // 1,000 x 1, and 0.0025 dollars
    ("g-fee", r#"{"prompt_tokens":1000,"completion_tokens":0,"total_tokens":1000}"#, "0.003500000000"),
    // 77 x 1 + 33 x 2, and 0.0025 dollars
    ("g-fee", r#"{"prompt_tokens":77,"completion_tokens":33,"total_tokens":110}"#, "0.002643000000"),
    // Multipliers, rounded once, half to even, at the twelfth digit.
    // (1 x 0.075) x 0.5
    (
        "g-half",
        r#"{"prompt_tokens":1,"completion_tokens":0,"total_tokens":1,"prompt_tokens_details":{"cached_tokens":1}}"#,
        "0.000000037500",
    ),
    // (2 x 0.15 + 1 x 0.075 + 1 x 0.60) x 0.5
    (
        "g-half",
        r#"{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4,"prompt_tokens_details":{"cached_tokens":1}}"#,
        "0.000000487500",
    ),
    // (2,007 x 0.15 + 1,023 x 0.075 + 499 x 0.60) x 0.5
    (
        "g-half",
        r#"{"prompt_tokens":3030,"completion_tokens":499,"total_tokens":3529,"prompt_tokens_details":{"cached_tokens":1023}}"#,
        "0.000338587500",
    ),
    // (1 x 0.15 + 1 x 0.60) x 0.333333333
    ("g-third", r#"{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}"#, "0.000000250000"),
    // (1 x 0.15 + 1 x 0.075 + 1 x 0.60) x 0.333333333
    (
        "g-third",
        r#"{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":1}}"#,
        "0.000000275000",
    ),
    // (2,007 x 0.15 + 1,023 x 0.075 + 499 x 0.60) x 0.333333333
    (
        "g-third",
        r#"{"prompt_tokens":3030,"completion_tokens":499,"total_tokens":3529,"prompt_tokens_details":{"cached_tokens":1023}}"#,
        "0.000225725000",
    ),
    // (2,007 x 0.15 + 1,023 x 0.075 + 499 x 0.60) x 0
    (
        "g-free",
        r#"{"prompt_tokens":3030,"completion_tokens":499,"total_tokens":3529,"prompt_tokens_details":{"cached_tokens":1023}}"#,
        "0.000000000000",
    ),
    // Responses.
    // 1 x 5 + 1 x 30
    (
        "r-flat",
        r#"{"input_tokens":1,"input_tokens_details":{"cached_tokens":0},"output_tokens":1,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":2}"#,
        "0.000035000000",
    ),
    // 464 x 5 + 1,536 x 0.50 + 300 x 30
    (
        "r-flat",
        r#"{"input_tokens":2000,"input_tokens_details":{"cached_tokens":1536},"output_tokens":300,"output_tokens_details":{"reasoning_tokens":256},"total_tokens":2300}"#,
        "0.012088000000",
    ),
    // 500 x 5 + 1,000 x 0.50 + 500 x 6.25 + 300 x 30
    (
        "r-flat",
        r#"{"input_tokens":2000,"input_tokens_details":{"cached_tokens":1000,"cache_write_tokens":500},"output_tokens":300,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":2300}"#,
        "0.015125000000",
    ),
    // 5 x 30
    (
        "r-flat",
        r#"{"input_tokens":0,"input_tokens_details":{"cached_tokens":0},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":5}"#,
        "0.000150000000",
    ),
    // 271,999 x 5 + 1 x 30
    (
        "r-tier",
        r#"{"input_tokens":271999,"input_tokens_details":{"cached_tokens":0},"output_tokens":1,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":272000}"#,
        "1.360025000000",
    ),
    // 272,000 x 5 + 1 x 30
    (
        "r-tier",
        r#"{"input_tokens":272000,"input_tokens_details":{"cached_tokens":0},"output_tokens":1,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":272001}"#,
        "1.360030000000",
    ),
    // 272,001 x 10 + 1 x 45
    (
        "r-tier",
        r#"{"input_tokens":272001,"input_tokens_details":{"cached_tokens":0},"output_tokens":1,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":272002}"#,
        "2.720055000000",
    ),
    // 1 x 10 + 272,000 x 1 + 99 x 45
    (
        "r-tier",
        r#"{"input_tokens":272001,"input_tokens_details":{"cached_tokens":272000},"output_tokens":99,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":272100}"#,
        "0.276465000000",
    ),
    // 1 x 5 + 271,999 x 0.50 + 99 x 30
    (
        "r-tier",
        r#"{"input_tokens":272000,"input_tokens_details":{"cached_tokens":271999},"output_tokens":99,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":272099}"#,
        "0.138974500000",
    ),
    // Gemini leaves out what is zero; thoughts are output, what its own tools read is input.
    // 1 x 1.25 + 1 x 10
    ("m-tier", r#"{"promptTokenCount":1,"candidatesTokenCount":1,"totalTokenCount":2}"#, "0.000011250000"),
    // 5 x 1.25
    ("m-tier", r#"{"promptTokenCount":5,"totalTokenCount":5}"#, "0.000006250000"),
    // 10 x 1.25 + 50 x 10
    (
        "m-tier",
        r#"{"promptTokenCount":10,"candidatesTokenCount":20,"thoughtsTokenCount":30,"totalTokenCount":60}"#,
        "0.000512500000",
    ),
    // 1 x 1.25 + 3,999 x 0.31 + 17 x 10
    (
        "m-tier",
        r#"{"promptTokenCount":4000,"cachedContentTokenCount":3999,"candidatesTokenCount":17,"totalTokenCount":4017}"#,
        "0.001410940000",
    ),
    // 15 x 1.25 + 20 x 10
    (
        "m-tier",
        r#"{"promptTokenCount":10,"candidatesTokenCount":20,"toolUsePromptTokenCount":5,"totalTokenCount":35}"#,
        "0.000218750000",
    ),
    // 200,000 x 1.25 + 3 x 10
    ("m-tier", r#"{"promptTokenCount":200000,"candidatesTokenCount":3,"totalTokenCount":200003}"#, "0.250030000000"),
    // 200,001 x 2.50 + 3 x 15
    ("m-tier", r#"{"promptTokenCount":200001,"candidatesTokenCount":3,"totalTokenCount":200004}"#, "0.500047500000"),
    // 200,000 x 1.25 + 3 x 10
    (
        "m-tier",
        r#"{"promptTokenCount":199999,"candidatesTokenCount":3,"toolUsePromptTokenCount":1,"totalTokenCount":200003}"#,
        "0.250030000000",
    ),
    // 200,001 x 2.50 + 3 x 15
    (
        "m-tier",
        r#"{"promptTokenCount":199999,"candidatesTokenCount":3,"toolUsePromptTokenCount":2,"totalTokenCount":200004}"#,
        "0.500047500000",
    ),
    // 1 x 2.50 + 249,999 x 0.625 + 10 x 15
    (
        "m-tier",
        r#"{"promptTokenCount":250000,"cachedContentTokenCount":249999,"candidatesTokenCount":1,"thoughtsTokenCount":9,"totalTokenCount":250010}"#,
        "0.156401875000",
    ),
    // What the provider says that it charges, whatever the tokens are: at OpenRouter.
    (
        "g-told",
        r#"{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100,"cost":0.00000285,"is_byok":false,"cost_details":{"upstream_inference_cost":0.00000285}}"#,
        "0.000002850000",
    ),
    // With a key of one's own: its charge and the provider's behind it. 0.0018 + 0.0360795
    (
        "g-told",
        r#"{"prompt_tokens":9171,"completion_tokens":113,"total_tokens":9284,"cost":1.8e-3,"is_byok":true,"cost_details":{"upstream_inference_cost":0.0360795}}"#,
        "0.037879500000",
    ),
    // It says nothing: 1,000 x 1 + 100 x 2
    ("g-told", r#"{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}"#, "0.001200000000"),
    (
        "g-only-told",
        r#"{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4,"cost":1.8449999999999999e-05}"#,
        "0.000018450000",
    ),
    ("r-only-told", r#"{"input_tokens":3,"output_tokens":1,"total_tokens":4,"cost":0.25}"#, "0.250000000000"),
];
