//! A server of one file, on the loopback interface, for one page.
//!
//! Everybody on the machine can connect, and every page of the browser: only who knows the file's address, which holds a
//! random number, gets it. Requests by another host name are refused, or a page could point its own name here and read
//! what comes as its own (DNS rebinding); those of another origin are refused as well.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use ringscope_ringbuf::sys;

use crate::failure::Failure;

/// Longest request head.
const MAX_HEAD_BYTES: usize = 8 << 10;
/// A request is whole after this time, or refused; browsers connect ahead of requests, and may never send one.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Longest time without a byte taken.
const STALLED_TIME: Duration = Duration::from_secs(60);
/// Connections at once; more are closed.
const MAX_CONNECTIONS: usize = 32;
/// Bytes sent at once.
const PIECE_LEN: usize = 1 << 18;

/// What is served, and to whom.
pub(super) struct Site {
    file: File,
    len_bytes: u64,
    /// Path of the file's address.
    path: String,
    /// The page that may read it.
    origin: String,
}

impl Site {
    /// The first `len_bytes` of a file, under a path that ends in `name`, for pages of `origin`.
    pub(super) fn new(file: File, len_bytes: u64, name: &str, origin: &str) -> Site {
        Site {
            file,
            len_bytes,
            path: format!(
                "/{:016x}{:016x}/{name}",
                sys::random_u64(),
                sys::random_u64()
            ),
            origin: origin.to_owned(),
        }
    }
}

/// A server at work.
pub(super) struct Server {
    url: String,
    read: Receiver<()>,
}

impl Server {
    /// Starts to serve on a port, 0 for any.
    ///
    /// # Errors
    ///
    /// When the port is taken.
    pub(super) fn start(site: Site, port: u16) -> Result<Server, Failure> {
        let failed = |error: io::Error| {
            let why = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "the port is in use: by trace_processor, or by another `ringscope open`"
                        .to_owned()
                }
                _ => error.to_string(),
            };
            Failure::new("serve", format_args!("127.0.0.1:{port}"), why)
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let url = format!("http://127.0.0.1:{port}{}", site.path);
        let (tell, read) = mpsc::channel();
        let accepting = move || accept(&listener, Arc::new(site), port, &tell);
        thread::Builder::new().spawn(accepting).map_err(failed)?;
        Ok(Server { url, read })
    }

    /// Address of the file.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Returns when somebody has read the file to its end.
    ///
    /// # Errors
    ///
    /// When no connection can be accepted any more.
    pub(super) fn wait_until_read(&self) -> Result<(), Failure> {
        let gone = |_| Failure::new("serve", &self.url, "no connection can be accepted any more");
        self.read.recv().map_err(gone)
    }
}

fn accept(listener: &TcpListener, site: Arc<Site>, port: u16, read: &Sender<()>) {
    for connection in listener.incoming() {
        let Ok(connection) = connection else { continue };
        if Arc::strong_count(&site) > MAX_CONNECTIONS {
            continue;
        }
        let (site, read) = (Arc::clone(&site), read.clone());
        let serving = move || {
            if matches!(serve(&connection, &site, port), Ok(Served::Whole)) {
                // Nobody listens once the file was read: the process is about to end.
                let _ = read.send(());
            }
        };
        // A connection that no thread can be had for is closed.
        let _ = thread::Builder::new().spawn(serving);
    }
}

/// What an answer was.
#[derive(PartialEq, Eq)]
enum Served {
    /// The file, to its end.
    Whole,
    /// Something else.
    Other,
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    File,
    /// The file's head only.
    Head,
    /// May the page ask for the file?
    Permission,
    Refusal(&'static str),
}

fn serve(mut connection: &TcpStream, site: &Site, port: u16) -> io::Result<Served> {
    let head = read_head(connection)?;
    connection.set_write_timeout(Some(STALLED_TIME))?;
    let answer = match &head {
        Some(head) => answer(head, site, port),
        None => Answer::Refusal("431 Request Header Fields Too Large"),
    };
    connection.write_all(answer_head(&answer, site).as_bytes())?;
    if answer == Answer::File {
        send(connection, &site.file, site.len_bytes)?;
    }
    // Closing with unread bytes would cut off what is on its way.
    connection.shutdown(Shutdown::Write)?;
    let mut rest = [0; 1 << 10];
    let mut unread = MAX_HEAD_BYTES;
    while unread > 0 {
        match connection.read(&mut rest) {
            Ok(len) if len > 0 => unread = unread.saturating_sub(len),
            _ => break,
        }
    }
    Ok(match answer {
        Answer::File => Served::Whole,
        _ => Served::Other,
    })
}

/// The request up to the empty line behind its headers; `None` when that is too long.
fn read_head(mut connection: &TcpStream) -> io::Result<Option<String>> {
    let deadline = Instant::now() + REQUEST_TIME;
    let mut head = Vec::new();
    let mut piece = [0; 1 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        connection.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let len = connection.read(&mut piece)?;
        if len == 0 || left.is_zero() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&piece[..len]);
        if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            head.truncate(end);
            let text = String::from_utf8(head);
            return text.map(Some).map_err(io::Error::other);
        }
        if head.len() >= MAX_HEAD_BYTES {
            return Ok(None);
        }
    }
}

/// What a request gets.
fn answer(head: &str, site: &Site, port: u16) -> Answer {
    const MALFORMED: Answer = Answer::Refusal("400 Bad Request");
    let mut lines = head.split("\r\n");
    let request: Vec<&str> = lines.next().unwrap_or("").split(' ').collect();
    let [method, path, "HTTP/1.0" | "HTTP/1.1"] = request[..] else {
        return MALFORMED;
    };
    let (mut host, mut origin) = (None, None);
    for line in lines {
        let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_token(name)) else {
            return MALFORMED;
        };
        let place = match name.to_ascii_lowercase().as_str() {
            "host" => &mut host,
            "origin" => &mut origin,
            _ => continue,
        };
        if place.replace(value.trim_matches([' ', '\t'])).is_some() {
            return MALFORMED;
        }
    }
    let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    if !host.is_some_and(|host| hosts.iter().any(|known| known == host)) {
        return Answer::Refusal("421 Misdirected Request");
    }
    if origin.is_some_and(|origin| origin != site.origin) {
        return Answer::Refusal("403 Forbidden");
    }
    match method {
        _ if path != site.path => Answer::Refusal("404 Not Found"),
        "GET" => Answer::File,
        "HEAD" => Answer::Head,
        "OPTIONS" => Answer::Permission,
        _ => Answer::Refusal("405 Method Not Allowed"),
    }
}

/// True of what may name a header: no space, which some take for nothing and others for a part of the name.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
}

fn answer_head(answer: &Answer, site: &Site) -> String {
    let allowed = format!(
        "Access-Control-Allow-Origin: {}\r\nVary: Origin\r\n",
        site.origin
    );
    let (status, headers) = match answer {
        Answer::File | Answer::Head => (
            "200 OK",
            format!(
                "Content-Type: application/octet-stream\r\nContent-Length: {}\r\n{allowed}",
                site.len_bytes
            ),
        ),
        // Browsers ask before a page of the web reads from this machine.
        Answer::Permission => (
            "204 No Content",
            format!(
                "Access-Control-Allow-Methods: GET, HEAD\r\nAccess-Control-Allow-Private-Network: true\r\n{allowed}"
            ),
        ),
        Answer::Refusal("405 Method Not Allowed") => (
            "405 Method Not Allowed",
            "Allow: GET, HEAD, OPTIONS\r\nContent-Length: 0\r\n".to_owned(),
        ),
        Answer::Refusal(status) => (*status, "Content-Length: 0\r\n".to_owned()),
    };
    format!(
        "HTTP/1.1 {status}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n{headers}\r\n"
    )
}

/// Sends the first `len_bytes` of a file, which other connections may send as well.
fn send(mut connection: &TcpStream, file: &File, len_bytes: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE_LEN];
    let mut at = 0;
    while at < len_bytes {
        let wanted = PIECE_LEN.min(usize::try_from(len_bytes - at).unwrap_or(PIECE_LEN));
        let len = file.read_at(&mut piece[..wanted], at)?;
        if len == 0 {
            // The file was cut short: the length that was promised does not come.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        connection.write_all(&piece[..len])?;
        at += len as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://ui.perfetto.dev";

    fn site() -> Site {
        let file = tempfile::tempfile().unwrap();
        Site::new(file, 0, "trace.json", ORIGIN)
    }

    fn asked(site: &Site, head: &str) -> Answer {
        answer(
            &head.replace("PATH", &site.path).replace('\n', "\r\n"),
            site,
            9001,
        )
    }

    #[test]
    fn the_page_gets_the_file_and_nobody_else_does() {
        let site = site();
        let with = |lines: &str| asked(&site, &format!("GET PATH HTTP/1.1\n{lines}"));
        assert_eq!(with("Host: 127.0.0.1:9001"), Answer::File);
        assert_eq!(
            with("host:localhost:9001\norigin: https://ui.perfetto.dev"),
            Answer::File
        );
        for (refused, status) in [
            ("Host: evil.example:9001", "421 Misdirected Request"),
            ("Host: 127.0.0.1", "421 Misdirected Request"),
            (
                "Host: 127.0.0.1:9001.evil.example",
                "421 Misdirected Request",
            ),
            ("Accept: */*", "421 Misdirected Request"),
            (
                "Host: 127.0.0.1:9001\nOrigin: https://evil.example",
                "403 Forbidden",
            ),
            ("Host: 127.0.0.1:9001\nOrigin: null", "403 Forbidden"),
            (
                "Host: 127.0.0.1:9001\nHost: evil.example",
                "400 Bad Request",
            ),
            ("Host 127.0.0.1:9001", "400 Bad Request"),
        ] {
            assert_eq!(with(refused), Answer::Refusal(status), "{refused}");
        }
    }

    #[test]
    fn there_is_one_path() {
        let site = site();
        let get = |target: &str| {
            asked(
                &site,
                &format!("GET {target} HTTP/1.1\nHost: 127.0.0.1:9001"),
            )
        };
        for other in [
            "/",
            "/trace.json",
            "PATH/",
            "PATH?x",
            "PATH/../../etc/passwd",
            "/../etc/passwd",
            "//127.0.0.1:9001PATH",
            "http://127.0.0.1:9001PATH",
        ] {
            assert_eq!(get(other), Answer::Refusal("404 Not Found"), "{other}");
        }
        assert_ne!(site.path, self::site().path);
    }

    #[test]
    fn other_requests_are_refused() {
        let site = site();
        let request = |line: &str| asked(&site, &format!("{line}\nHost: 127.0.0.1:9001"));
        assert_eq!(request("HEAD PATH HTTP/1.1"), Answer::Head);
        assert_eq!(request("OPTIONS PATH HTTP/1.1"), Answer::Permission);
        let refused = Answer::Refusal("405 Method Not Allowed");
        assert_eq!(request("POST PATH HTTP/1.1"), refused);
        for malformed in [
            "",
            "GET PATH",
            "GET  PATH HTTP/1.1",
            "GET PATH HTTP/2.0",
            "GET PATH HTTP/1.1 x",
        ] {
            assert_eq!(
                request(malformed),
                Answer::Refusal("400 Bad Request"),
                "{malformed:?}"
            );
        }
    }
}
