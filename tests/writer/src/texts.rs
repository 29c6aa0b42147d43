//! The strings that break importers, for the writer to record and the judge to look for.

/// Names and values, bytes as a program may give them.
pub fn texts() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 12] = [
        b"",
        b" ",
        b"\x00\x01\x02\x1b[31m\x7f",
        b"line\nfeed\rreturn\ttab",
        b"\"quoted\" and 'single'",
        b"back\\slash\\",
        b"\\",
        b"\xff\xfe invalid \xc3\x28 utf-8 \xf0\x9f",
        "Größe – 模型推理 – Ωμέγα".as_bytes(),
        "👩‍🚀🚀".as_bytes(),
        b"</script>&amp;\x0b\x0c",
        "\u{2028}\u{2029}\u{feff}".as_bytes(),
    ];
    let mut texts: Vec<Vec<u8>> = texts.iter().map(|text| text.to_vec()).collect();
    texts.push(b"0123456789".repeat(1_000));
    texts.push("é".repeat(5_000).into_bytes());
    texts
}
