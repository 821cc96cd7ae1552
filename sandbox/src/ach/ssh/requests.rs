//! The requests of SFTP version 3, each answered from the folders, and the faults that befall them.

use std::collections::BTreeMap;
// The type of an argument of russh-sftp's, which is not looked at: nothing is done in its order.
use std::collections::HashMap as Extensions;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use russh_sftp::protocol::{
    Attrs, Data, FileAttributes, Handle, Name, OpenFlags, Packet, Status, StatusCode, Version,
};
use russh_sftp::server::StatusReply;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::ach::Shared;
use crate::ach::tree::{Attributes, Refusal, Spot};
use crate::fault::Fault;

/// Most files and folders that one client has open.
const HANDLES: usize = 64;
/// Most bytes of one answer.
const READ_MOST: u32 = 256 * 1024;
/// Most bytes of one file: what the format allows.
const FILE_MOST: u64 = nacha::MAX_BYTES as u64;
/// Names of one answer, so that it stays below a packet.
const NAMES_MOST: usize = 256;
/// An extension that OpenSSH's client and server have: a file is synced.
const FSYNC: &str = "fsync@openssh.com";

/// The requests of one channel.
pub(super) struct Requests {
    shared: Arc<Shared>,
    cut: Arc<watch::Sender<bool>>,
    open: BTreeMap<String, Open>,
    next: u64,
}

enum Open {
    Folder(Vec<(String, Attributes)>),
    File {
        file: File,
        /// From where on nothing is kept of what is written.
        lost_from: Option<u64>,
    },
}

impl Requests {
    pub(super) fn new(shared: Arc<Shared>, cut: Arc<watch::Sender<bool>>) -> Self {
        Self { shared, cut, open: BTreeMap::new(), next: 0 }
    }

    /// What befalls any request.
    async fn begin(&self) {
        let befalls =
            |fault| matches!(fault, Fault::Hang | Fault::HalfOpen | Fault::Refuse | Fault::Slow);
        match self.shared.faults.take(befalls) {
            Some(Fault::Slow) => sleep(self.shared.timings.slow).await,
            Some(Fault::Refuse) => self.cut().await,
            Some(_) => {
                self.shared.hold().await;
                self.cut().await;
            }
            None => {}
        }
    }

    /// Cuts the connection, and returns when it is gone: the answer that follows reaches nobody.
    async fn cut(&self) {
        self.cut.send_replace(true);
        self.cut.closed().await;
    }

    fn keep(&mut self, id: u32, open: Open) -> Result<Handle, StatusReply> {
        if self.open.len() >= HANDLES {
            return Err(StatusCode::Failure.with_message("too many open files"));
        }
        self.next += 1;
        let handle = self.next.to_string();
        self.open.insert(handle.clone(), open);
        Ok(Handle { id, handle })
    }

    fn file(&mut self, handle: &str) -> Result<(&File, &mut Option<u64>), StatusReply> {
        match self.open.get_mut(handle) {
            Some(Open::File { file, lost_from }) => Ok((file, lost_from)),
            _ => Err(StatusCode::Failure.with_message("no such handle")),
        }
    }

    fn attrs(&self, id: u32, path: &str) -> Result<Attrs, StatusReply> {
        let found = Spot::parse(path).and_then(|spot| self.shared.tree.attributes(&spot));
        Ok(Attrs { id, attrs: wire(found.map_err(reply)?) })
    }

    async fn sync(&mut self, handle: &str) -> Result<(), StatusReply> {
        let (file, _) = self.file(handle)?;
        let file = file.try_clone().map_err(|error| reply(error.into()))?;
        aside(move || Ok(file.sync_all()?)).await
    }
}

/// Does what waits for the disk on a thread that nobody else needs.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, StatusReply> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(reply),
        Err(error) => Err(StatusCode::Failure.with_message(error.to_string())),
    }
}

fn reply(refusal: Refusal) -> StatusReply {
    match refusal {
        Refusal::NoSuchFile => StatusCode::NoSuchFile.into(),
        Refusal::Denied(why) => StatusCode::PermissionDenied.with_message(why),
        Refusal::Failed(why) => StatusCode::Failure.with_message(why),
    }
}

fn done(id: u32) -> Status {
    let (error_message, language_tag) = ("Ok".to_owned(), "en-US".to_owned());
    Status { id, status_code: StatusCode::Ok, error_message, language_tag }
}

fn wire(found: Attributes) -> FileAttributes {
    FileAttributes {
        size: Some(found.size),
        uid: Some(0),
        gid: Some(0),
        permissions: Some(if found.folder { 0o040_755 } else { 0o100_644 }),
        atime: Some(found.modified_seconds),
        mtime: Some(found.modified_seconds),
        ..FileAttributes::empty()
    }
}

impl russh_sftp::server::Handler for Requests {
    type Error = StatusReply;

    fn unimplemented(&self) -> StatusReply {
        StatusCode::OpUnsupported.into()
    }

    async fn init(
        &mut self,
        _version: u32,
        _extensions: Extensions<String, String>,
    ) -> Result<Version, StatusReply> {
        self.begin().await;
        let mut version = Version::new();
        version.extensions.insert(FSYNC.to_owned(), "1".to_owned());
        Ok(version)
    }

    async fn open(
        &mut self,
        id: u32,
        path: String,
        flags: OpenFlags,
        _attrs: FileAttributes,
    ) -> Result<Handle, StatusReply> {
        self.begin().await;
        let spot = Spot::parse(&path).map_err(reply)?;
        let written = OpenFlags::WRITE | OpenFlags::APPEND | OpenFlags::CREATE;
        let file = if flags.intersects(written | OpenFlags::TRUNCATE) {
            // Writes are at offsets, so that nothing is appended by itself.
            let mut options = OpenOptions::from(flags - OpenFlags::APPEND);
            self.shared.tree.open_to_write(&spot, options.write(true))
        } else {
            self.shared.tree.open_to_read(&spot)
        };
        let file = file.map_err(reply)?;
        self.keep(id, Open::File { file, lost_from: None })
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusReply> {
        self.begin().await;
        match self.open.remove(&handle) {
            Some(_) => Ok(done(id)),
            None => Err(StatusCode::Failure.with_message("no such handle")),
        }
    }

    async fn read(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        len: u32,
    ) -> Result<Data, StatusReply> {
        self.begin().await;
        let (file, _) = self.file(&handle)?;
        let mut data = vec![0; len.min(READ_MOST) as usize];
        let read = file.read_at(&mut data, offset).map_err(|error| reply(error.into()))?;
        data.truncate(read);
        if data.is_empty() && len > 0 {
            return Err(StatusCode::Eof.into());
        }
        Ok(Data { id, data })
    }

    async fn write(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        data: Vec<u8>,
    ) -> Result<Status, StatusReply> {
        self.begin().await;
        let befalls = |fault| {
            matches!(fault, Fault::CloseMidMessage | Fault::DiskFull | Fault::PartialUpload)
        };
        let fault = self.shared.faults.take(befalls);
        let end = offset.saturating_add(data.len() as u64);
        if end > FILE_MOST {
            return Err(StatusCode::Failure.with_message("a file has at most 64 MiB"));
        }
        let middle = offset + data.len() as u64 / 2;
        let (file, lost_from) = self.file(&handle)?;
        match fault {
            Some(Fault::DiskFull) => {
                return Err(StatusCode::Failure.with_message("No space left on device"));
            }
            Some(Fault::PartialUpload) => *lost_from = Some(middle),
            _ => {}
        }
        let until = match fault {
            Some(Fault::CloseMidMessage) => middle,
            _ => lost_from.unwrap_or(end).min(end),
        };
        let kept = usize::try_from(until.saturating_sub(offset)).expect("a part of the data");
        file.write_all_at(&data[..kept], offset).map_err(|error| reply(error.into()))?;
        if fault == Some(Fault::CloseMidMessage) {
            self.cut().await;
        }
        Ok(done(id))
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        self.begin().await;
        self.attrs(id, &path)
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        self.begin().await;
        self.attrs(id, &path)
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, StatusReply> {
        self.begin().await;
        let (file, _) = self.file(&handle)?;
        let metadata = file.metadata().map_err(|error| reply(error.into()))?;
        Ok(Attrs { id, attrs: wire(Attributes::of(&metadata)) })
    }

    /// Owners, permissions and times are the bank's own; a client that sets them after an upload, as
    /// OpenSSH's does, is told that it may think so.
    async fn setstat(
        &mut self,
        id: u32,
        path: String,
        _attrs: FileAttributes,
    ) -> Result<Status, StatusReply> {
        self.begin().await;
        self.attrs(id, &path).map(|_| done(id))
    }

    async fn fsetstat(
        &mut self,
        id: u32,
        handle: String,
        _attrs: FileAttributes,
    ) -> Result<Status, StatusReply> {
        self.begin().await;
        self.file(&handle).map(|_| done(id))
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusReply> {
        self.begin().await;
        let found = Spot::parse(&path).and_then(|spot| self.shared.tree.list(&spot));
        let mut names = found.map_err(reply)?;
        // Taken from the end.
        names.reverse();
        self.keep(id, Open::Folder(names))
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, StatusReply> {
        self.begin().await;
        let Some(Open::Folder(names)) = self.open.get_mut(&handle) else {
            return Err(StatusCode::Failure.with_message("no such handle"));
        };
        let part = names.split_off(names.len().saturating_sub(NAMES_MOST));
        if part.is_empty() {
            return Err(StatusCode::Eof.into());
        }
        let files = part
            .into_iter()
            .rev()
            .map(|(name, found)| russh_sftp::protocol::File::new(name, wire(found)));
        Ok(Name { id, files: files.collect() })
    }

    async fn remove(&mut self, id: u32, path: String) -> Result<Status, StatusReply> {
        self.begin().await;
        let (spot, shared) = (Spot::parse(&path).map_err(reply)?, Arc::clone(&self.shared));
        aside(move || shared.tree.remove(&spot)).await.map(|()| done(id))
    }

    async fn mkdir(
        &mut self,
        _id: u32,
        _path: String,
        _attrs: FileAttributes,
    ) -> Result<Status, StatusReply> {
        self.begin().await;
        Err(StatusCode::PermissionDenied.with_message("the bank makes the folders"))
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, StatusReply> {
        self.begin().await;
        let spot = Spot::parse(&path).map_err(reply)?;
        let file = russh_sftp::protocol::File::dummy(spot.path());
        Ok(Name { id, files: vec![file] })
    }

    async fn rename(&mut self, id: u32, from: String, to: String) -> Result<Status, StatusReply> {
        self.begin().await;
        let befalls = |fault| matches!(fault, Fault::DropReply | Fault::RenameFails);
        let fault = self.shared.faults.take(befalls);
        if fault == Some(Fault::RenameFails) {
            return Err(StatusCode::Failure.with_message("the rename failed"));
        }
        let (from, to) = (Spot::parse(&from).map_err(reply)?, Spot::parse(&to).map_err(reply)?);
        let shared = Arc::clone(&self.shared);
        if let Some(name) = aside(move || shared.tree.rename(&from, &to)).await? {
            self.shared.uploaded(name).await;
        }
        if fault == Some(Fault::DropReply) {
            self.cut().await;
        }
        Ok(done(id))
    }

    async fn extended(
        &mut self,
        id: u32,
        request: String,
        data: Vec<u8>,
    ) -> Result<Packet, StatusReply> {
        self.begin().await;
        // A text: its length in four bytes, then itself.
        let handle = data.get(4..).and_then(|text| std::str::from_utf8(text).ok());
        match handle {
            Some(handle) if request == FSYNC => {
                self.sync(handle).await?;
                Ok(Packet::Status(done(id)))
            }
            _ => Err(self.unimplemented()),
        }
    }
}
