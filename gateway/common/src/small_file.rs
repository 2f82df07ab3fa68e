//! Reads small files as a whole.

use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::OFlags;

/// The bytes of a file of at most `most` bytes.
///
/// It waits for nobody: a pipe, to which nobody may ever write, and a device, which may have no end, are refused.
///
/// # Errors
/// When the file cannot be read, is no regular file, or is longer.
pub fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a pipe, a socket or a device, and no file",
        ));
    }
    let mut bytes = Vec::new();
    // Its length is a hint: what is in /proc says 0.
    bytes.try_reserve(usize::try_from(metadata.len().min(most)).unwrap_or_default())?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {most} bytes"),
        ));
    }
    Ok(bytes)
}

/// The text of a file of at most `most` bytes, as [`read_file`] reads it.
///
/// # Errors
/// Those of [`read_file`], and when it is not UTF-8.
pub fn read_text_file(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read_file(path, most)?).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let byte = error.as_bytes().get(valid).copied().unwrap_or_default();
        let message = format!("the byte 0x{byte:02X} at offset {valid} is not UTF-8");
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_read_up_to_a_bound_and_to_the_byte() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "four").unwrap();
        assert_eq!(read_file(&file, 4).unwrap(), b"four");
        assert_eq!(read_text_file(&file, 5).unwrap(), "four");
        let longer = read_file(&file, 3).unwrap_err();
        assert_eq!(longer.kind(), io::ErrorKind::FileTooLarge);
        fs::write(&file, b"ok\xFF").unwrap();
        let wrong = read_text_file(&file, 5).unwrap_err().to_string();
        assert_eq!(wrong, "the byte 0xFF at offset 2 is not UTF-8");
    }

    #[test]
    fn what_would_be_waited_for_or_has_no_end_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        for path in [pipe.as_path(), Path::new("/dev/zero")] {
            let refused = read_file(path, 1 << 20).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{refused}");
        }
        let folder = read_file(folder.path(), 1).unwrap_err();
        assert_eq!(folder.kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_file_whose_length_the_system_does_not_tell_is_read() {
        assert!(
            !read_file(Path::new("/proc/self/status"), 1 << 20)
                .unwrap()
                .is_empty()
        );
    }
}
