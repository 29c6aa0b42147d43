//! Where output goes: standard output, or a file that appears under its name only when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ringscope_decode::gzip::GzipWriter;
use ringscope_ringbuf::file::padded_text;
use ringscope_ringbuf::sys;

use crate::failure::Failure;

/// Traces shrink to a sixth at the fastest level; a smaller file takes four times as long.
const GZIP_LEVEL: u32 = 1;

/// Replaces `%p` by the process id, `%h` by the host's name, `%%` by a percent sign.
pub(crate) fn expand(path: &Path, pid: u32) -> PathBuf {
    let Some(text) = path.to_str() else {
        return path.to_owned();
    };
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        expanded.push_str(before);
        let mut tail = after.chars();
        match tail.next() {
            Some('p') => expanded.push_str(&pid.to_string()),
            Some('h') => expanded.push_str(&padded_text(&sys::host_name())),
            Some('%') => expanded.push('%'),
            other => {
                expanded.push('%');
                expanded.extend(other);
            }
        }
        rest = tail.as_str();
    }
    expanded.push_str(rest);
    PathBuf::from(expanded)
}

/// A file under a temporary name beside its own; renamed when finished, removed when dropped before.
#[derive(Debug)]
pub(crate) struct OutputFile {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    finished: bool,
}

impl OutputFile {
    /// Creates the file under its temporary name.
    pub(crate) fn create(path: &Path) -> Result<OutputFile, Failure> {
        let temporary = temporary_name(path)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&temporary)
            .map_err(|error| Failure::io("create", path, &error))?;
        Ok(OutputFile {
            file,
            temporary,
            path: path.to_owned(),
            finished: false,
        })
    }

    /// Gives the file its name; its size in bytes.
    pub(crate) fn finish(mut self) -> Result<u64, Failure> {
        let failed = |error: io::Error| Failure::io("write", &self.path, &error);
        let len_bytes = self.file.metadata().map_err(failed)?.len();
        fs::rename(&self.temporary, &self.path).map_err(failed)?;
        self.finished = true;
        Ok(len_bytes)
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing is left to try when this fails.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn temporary_name(path: &Path) -> Result<PathBuf, Failure> {
    let Some(name) = path.file_name() else {
        return Err(Failure::new(
            "create",
            path.display(),
            "expected a file name",
        ));
    };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{:08x}.tmp", sys::random_u64() as u32));
    Ok(path.with_file_name(temporary))
}

/// Where bytes go.
#[derive(Debug)]
pub(crate) enum Target {
    /// A file that appears when it is whole.
    File(OutputFile),
    /// Standard output, a pipe or a device, which can't be renamed over.
    Stream(File),
}

impl Target {
    /// Opens the target named `path`; `-` is standard output, which must not be a terminal.
    pub(crate) fn open(path: &Path) -> Result<Target, Failure> {
        let stream = if path == Path::new("-") {
            if io::stdout().is_terminal() {
                let why = "is a terminal: name a file with -o, or pipe it";
                return Err(Failure::new("write", "standard output", why));
            }
            let copy = io::stdout().as_fd().try_clone_to_owned();
            copy.map(File::from)
        } else if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            OpenOptions::new().write(true).open(path)
        } else {
            return OutputFile::create(path).map(Target::File);
        };
        stream
            .map(Target::Stream)
            .map_err(|error| Failure::io("open", path, &error))
    }

    /// Ends the output; the size of the file, when it is one.
    pub(crate) fn finish(self) -> Result<Option<u64>, Failure> {
        match self {
            Target::File(file) => file.finish().map(Some),
            Target::Stream(_) => Ok(None),
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Target::File(file) => file.write(bytes),
            Target::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Target::File(file) => file.flush(),
            Target::Stream(stream) => stream.flush(),
        }
    }
}

/// Where a trace goes, as it is or compressed.
#[derive(Debug)]
pub(crate) enum Output {
    /// As it is.
    Plain(Target),
    /// Compressed, since the name ends in `.gz`.
    Gzip(Box<GzipWriter<Target>>),
}

impl Output {
    /// Opens the output named `path`, as [`Target::open`]; one that ends in `.gz` is compressed by `threads` threads.
    pub(crate) fn open(path: &Path, threads: usize) -> Result<Output, Failure> {
        let target = Target::open(path)?;
        if path.extension() != Some("gz".as_ref()) {
            return Ok(Output::Plain(target));
        }
        GzipWriter::new(target, GZIP_LEVEL, threads)
            .map(|writer| Output::Gzip(Box::new(writer)))
            .map_err(|error| Failure::io("write", path, &error))
    }

    /// The file, when it is one that bytes go to as they are.
    pub(crate) fn file(&self) -> Option<&File> {
        match self {
            Output::Plain(Target::File(file)) => Some(&file.file),
            Output::Plain(Target::Stream(_)) | Output::Gzip(_) => None,
        }
    }

    /// The temporary name of the file, when it is one.
    pub(crate) fn temporary(&self) -> Option<&Path> {
        let target = match self {
            Output::Plain(target) => target,
            Output::Gzip(writer) => writer.get_ref(),
        };
        match target {
            Target::File(file) => Some(&file.temporary),
            Target::Stream(_) => None,
        }
    }

    /// Ends the output, named `path` in messages; the size of the file, when it is one.
    pub(crate) fn finish(self, path: &Path) -> Result<Option<u64>, Failure> {
        let target = match self {
            Output::Plain(target) => target,
            Output::Gzip(writer) => {
                let finished = writer.finish();
                finished.map_err(|error| Failure::io("write", path, &error))?
            }
        };
        target.finish()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::Plain(target) => target.write(bytes),
            Output::Gzip(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Plain(target) => target.flush(),
            Output::Gzip(writer) => writer.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_in_names_are_replaced() {
        let host = padded_text(&sys::host_name());
        let expanded = |text: &str| expand(Path::new(text), 42).display().to_string();
        assert_eq!(expanded("trace-%p.json"), "trace-42.json");
        assert_eq!(expanded("%h/%p%%%x%"), format!("{host}/42%%x%"));
        assert_eq!(expanded("%é"), "%é");
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trace.json");
        let mut file = OutputFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);

        let mut file = OutputFile::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        assert!(!path.exists());
        assert_eq!(file.finish().unwrap(), 5);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
