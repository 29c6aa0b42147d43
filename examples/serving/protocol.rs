//! Messages between the engine and a worker.
//!
//! A message on the wire is its length in bytes, then that many bytes: a tag and the fields, in order. All integers are
//! little-endian `u32`, step numbers are `u64`, and a list is its length followed by its elements.

use std::io::{self, Read, Write};

use crate::request::RequestId;

/// Longest message accepted, in bytes; a longer length means that the stream is out of step.
const MAX_MESSAGE_BYTES: u32 = 1 << 20;

const TAG_STEP: u32 = 1;
const TAG_SHUTDOWN: u32 = 2;
const TAG_READY: u32 = 3;
const TAG_OUTPUT: u32 = 4;

/// What a worker is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Run one step and answer with [`Reply::Output`].
    Step(Step),
    /// End.
    Shutdown,
}

/// The work of one step of one worker.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Number of the step, counted for each worker from 0.
    pub(crate) id: u64,
    /// Sequences to forget first.
    pub(crate) released: Vec<RequestId>,
    /// Sequences to start, with their prompts.
    pub(crate) prefill: Vec<(RequestId, Vec<u32>)>,
    /// Sequences to continue by one token.
    pub(crate) decode: Vec<RequestId>,
}

/// What a worker answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The model is loaded.
    Ready,
    /// A step is done.
    Output(StepOutput),
}

/// The new tokens of one step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StepOutput {
    /// Number of the step.
    pub(crate) step_id: u64,
    /// One new token for each sequence of the step.
    pub(crate) tokens: Vec<(RequestId, u32)>,
}

impl Step {
    /// Sequences that the step works on.
    pub(crate) fn sequences(&self) -> usize {
        self.prefill.len() + self.decode.len()
    }

    fn write(&self, message: &mut Message) {
        message.put_u64(self.id);
        message.put_list(&self.released, |message, id| message.put(id.0));
        message.put_list(&self.prefill, |message, (id, prompt)| {
            message.put(id.0);
            message.put_list(prompt, |message, token| message.put(*token));
        });
        message.put_list(&self.decode, |message, id| message.put(id.0));
    }

    fn read(fields: &mut Fields<'_>) -> io::Result<Self> {
        Ok(Self {
            id: fields.u64()?,
            released: fields.list(|fields| fields.u32().map(RequestId))?,
            prefill: fields
                .list(|fields| Ok((RequestId(fields.u32()?), fields.list(Fields::u32)?)))?,
            decode: fields.list(|fields| fields.u32().map(RequestId))?,
        })
    }
}

impl StepOutput {
    fn write(&self, message: &mut Message) {
        message.put_u64(self.step_id);
        message.put_list(&self.tokens, |message, (id, token)| {
            message.put(id.0);
            message.put(*token);
        });
    }

    fn read(fields: &mut Fields<'_>) -> io::Result<Self> {
        Ok(Self {
            step_id: fields.u64()?,
            tokens: fields.list(|fields| Ok((RequestId(fields.u32()?), fields.u32()?)))?,
        })
    }
}

impl Command {
    /// Sends the command.
    pub(crate) fn send(&self, stream: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Step(step) => {
                let mut message = Message::new(TAG_STEP);
                step.write(&mut message);
                message.send(stream)
            }
            Self::Shutdown => Message::new(TAG_SHUTDOWN).send(stream),
        }
    }

    /// Receives a command; `None` when the other side has closed the connection.
    pub(crate) fn receive(stream: &mut impl Read) -> io::Result<Option<Self>> {
        let Some(bytes) = receive_message(stream)? else {
            return Ok(None);
        };
        let mut fields = Fields { rest: &bytes };
        match fields.u32()? {
            TAG_STEP => Step::read(&mut fields).map(Self::Step).map(Some),
            TAG_SHUTDOWN => Ok(Some(Self::Shutdown)),
            tag => Err(unknown_tag(tag)),
        }
    }
}

impl Reply {
    /// Sends the reply.
    pub(crate) fn send(&self, stream: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Ready => Message::new(TAG_READY).send(stream),
            Self::Output(output) => {
                let mut message = Message::new(TAG_OUTPUT);
                output.write(&mut message);
                message.send(stream)
            }
        }
    }

    /// Receives a reply; `None` when the other side has closed the connection.
    pub(crate) fn receive(stream: &mut impl Read) -> io::Result<Option<Self>> {
        let Some(bytes) = receive_message(stream)? else {
            return Ok(None);
        };
        let mut fields = Fields { rest: &bytes };
        match fields.u32()? {
            TAG_READY => Ok(Some(Self::Ready)),
            TAG_OUTPUT => StepOutput::read(&mut fields).map(Self::Output).map(Some),
            tag => Err(unknown_tag(tag)),
        }
    }
}

fn unknown_tag(tag: u32) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("unknown message tag {tag}"),
    )
}

/// Reads one message without its length; `None` at the end of the stream.
fn receive_message(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut len = [0; 4];
    if let Err(why) = stream.read_exact(&mut len) {
        return if why.kind() == io::ErrorKind::UnexpectedEof {
            Ok(None)
        } else {
            Err(why)
        };
    }
    let len = u32::from_le_bytes(len);
    if len > MAX_MESSAGE_BYTES {
        let why = format!("a message of {len} bytes; at most {MAX_MESSAGE_BYTES} are allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let mut bytes = vec![0; len as usize];
    stream.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

/// A message being written; its first four bytes are its length.
struct Message(Vec<u8>);

impl Message {
    fn new(tag: u32) -> Self {
        let mut message = Self(vec![0; 4]);
        message.put(tag);
        message
    }

    fn put(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    fn put_list<T>(&mut self, items: &[T], put: impl Fn(&mut Self, &T)) {
        self.put(items.len() as u32);
        items.iter().for_each(|item| put(self, item));
    }

    /// Fills in the length and sends everything in one write.
    fn send(mut self, stream: &mut impl Write) -> io::Result<()> {
        let len = self.0.len() as u32 - 4;
        self.0[..4].copy_from_slice(&len.to_le_bytes());
        stream.write_all(&self.0)
    }
}

/// The fields of a received message that were not read yet.
struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a message ends in the middle of a field",
            ));
        };
        self.rest = rest;
        Ok(*bytes)
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> io::Result<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> io::Result<T>) -> io::Result<Vec<T>> {
        let len = self.u32()?;
        (0..len).map(|_| read(self)).collect()
    }
}
