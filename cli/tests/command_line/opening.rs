//! `open`: a trace is served to the page that shows it, and to nobody else.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Child;

use crate::sandbox::{Outcome, Sandbox};

const ORIGIN: &str = "https://ui.perfetto.dev";

/// `ringscope open` at work.
struct Opened {
    child: Child,
    /// Address that it printed.
    address: String,
    port: u16,
    path: String,
}

impl Opened {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Opened {
        let mut all = vec!["open", "--port", "0"];
        all.extend(args);
        let mut child = sandbox.ringscope(all).spawn().unwrap();
        let mut address = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut address).unwrap();
        let address = address.trim_end().to_owned();
        let url = address.split_once("?url=http://127.0.0.1:");
        let (port, path) = url.and_then(|(_, rest)| rest.split_once('/')).unwrap();
        Opened {
            port: port.parse().unwrap(),
            path: format!("/{path}"),
            address,
            child,
        }
    }

    /// What the server answers to these bytes: its status line and headers, and its body.
    fn ask(&self, request: &str) -> (String, Vec<u8>) {
        let request = request
            .replace("PATH", &self.path)
            .replace("PORT", &self.port.to_string())
            .replace('\n', "\r\n");
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        let end = answer
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
            .unwrap();
        let body = answer.split_off(end + 4);
        (String::from_utf8(answer).unwrap(), body)
    }

    fn finish(self) -> Outcome {
        Outcome::from(self.child.wait_with_output().unwrap())
    }
}

#[test]
fn a_trace_is_served_once_to_its_page() {
    let sandbox = Sandbox::new();
    let trace = format!("{{\"traceEvents\":[{}0]}}", "0,\n".repeat(400_000));
    fs::write(sandbox.path("my trace.json"), &trace).unwrap();
    let opened = Opened::start(&sandbox, &["my trace.json"]);
    assert!(
        opened
            .address
            .starts_with("https://ui.perfetto.dev/#!/?url=http://127.0.0.1:")
    );
    assert!(opened.path.ends_with("/my_trace.json"), "{}", opened.path);
    let host = "Host: 127.0.0.1:PORT";
    for (request, status) in [
        (format!("GET /my_trace.json HTTP/1.1\n{host}\n\n"), "404"),
        (format!("GET /../etc/passwd HTTP/1.1\n{host}\n\n"), "404"),
        (format!("GET PATH/../x HTTP/1.1\n{host}\n\n"), "404"),
        (
            "GET PATH HTTP/1.1\nHost: evil.example\n\n".to_owned(),
            "421",
        ),
        ("GET PATH HTTP/1.1\n\n".to_owned(), "421"),
        (
            format!("GET PATH HTTP/1.1\n{host}\nOrigin: https://evil.example\n\n"),
            "403",
        ),
        (format!("POST PATH HTTP/1.1\n{host}\n\n"), "405"),
        ("\n\n".to_owned(), "400"),
        (
            format!("GET PATH HTTP/1.1\n{host}\nX: {}\n\n", "x".repeat(10_000)),
            "431",
        ),
    ] {
        let (head, body) = opened.ask(&request);
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {head}"
        );
        assert!(
            body.is_empty() && !head.contains("Allow-Origin"),
            "{request}: {head}"
        );
    }
    let (head, body) = opened.ask(&format!(
        "OPTIONS PATH HTTP/1.1\n{host}\nOrigin: {ORIGIN}\n\n"
    ));
    assert!(
        head.starts_with("HTTP/1.1 204 ") && body.is_empty(),
        "{head}"
    );
    assert!(
        head.contains("Access-Control-Allow-Private-Network: true"),
        "{head}"
    );
    let (head, body) = opened.ask(&format!("HEAD PATH HTTP/1.1\n{host}\n\n"));
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", trace.len())),
        "{head}"
    );
    assert!(body.is_empty());
    // A reader that goes away has not read it, and one that says nothing keeps nobody waiting.
    let silent = TcpStream::connect(("127.0.0.1", opened.port)).unwrap();
    let hasty = TcpStream::connect(("127.0.0.1", opened.port)).unwrap();
    hasty.shutdown(Shutdown::Both).unwrap();
    let (head, body) = opened.ask(&format!("GET PATH HTTP/1.1\n{host}\nOrigin: {ORIGIN}\n\n"));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains(&format!("Access-Control-Allow-Origin: {ORIGIN}\r\n")),
        "{head}"
    );
    assert!(body == trace.as_bytes());
    opened
        .finish()
        .expect_code(0)
        .expect_stderr("my_trace.json, 1.1 MiB, is served");
    drop(silent);
}

#[test]
fn a_run_or_pack_is_decoded_first() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:300", "end"])
        .expect_code(0);
    sandbox.run(&["pack", "-o", "run.tar.zst"]).expect_code(0);
    let dir = sandbox.only_run();
    let dir = dir.to_str().unwrap();
    for run in [dir, "run.tar.zst"] {
        let decode = ["decode", run, "-o", "expected.pftrace"];
        sandbox.run(&decode).expect_code(0);
        let expected = fs::read(sandbox.path("expected.pftrace")).unwrap();
        let opened = Opened::start(&sandbox, &[run, "--ui", "http://localhost:10000/"]);
        assert!(
            opened
                .address
                .starts_with("http://localhost:10000/#!/?url=http://127.0.0.1:")
        );
        assert!(opened.path.ends_with(".pftrace"), "{}", opened.path);
        let (_, body) = opened.ask("GET PATH HTTP/1.0\nHost: localhost:PORT\n\n");
        assert!(body == expected, "{} {}", body.len(), expected.len());
        opened.finish().expect_code(0);
    }
}

#[test]
fn what_can_not_be_shown_is_refused_in_one_line() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("notes.txt"), "mine").unwrap();
    fs::write(sandbox.path("empty.json"), "").unwrap();
    fs::write(sandbox.path("t.json"), "[]").unwrap();
    for name in ["notes.txt", "empty.json"] {
        sandbox
            .run(&["open", name])
            .expect_code(1)
            .expect_stderr(&format!("ringscope: open: {name}: expected a trace"));
    }
    sandbox
        .run(&["open", "missing.json"])
        .expect_code(1)
        .expect_stderr("ringscope: find run: missing.json");
    sandbox
        .run(&["open", "t.json", "--ui", "ftp://x"])
        .expect_code(2);
    let holder = Opened::start(&sandbox, &["t.json"]);
    let port = holder.port.to_string();
    sandbox
        .run(&["open", "t.json", "--port", &port])
        .expect_code(1)
        .expect_stderr(&format!(
            "ringscope: serve: 127.0.0.1:{port}: the port is in use"
        ));
    holder.ask("GET PATH HTTP/1.1\nHost: 127.0.0.1:PORT\n\n");
    holder.finish().expect_code(0);
}
