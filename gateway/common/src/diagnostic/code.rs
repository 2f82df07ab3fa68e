//! The kinds of mistakes, each with a stable code for tools.

use std::fmt;

/// The kind of a [`Diagnostic`](super::Diagnostic). Its word is stable; messages are written for people and may change.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Code {
    /// `file-missing`: a file or folder that is named is not there.
    FileMissing,
    /// `file-unreadable`: a file or folder cannot be read, or is not of the kind that is needed.
    FileUnreadable,
    /// `file-too-long`: a file is longer than what is read of its kind.
    FileTooLong,
    /// `not-private`: other users could read or change what is kept in a file or folder.
    NotPrivate,
    /// `syntax`: the text is no UTF-8, TOML or YAML.
    Syntax,
    /// `unknown-key`: there is no such key.
    UnknownKey,
    /// `missing-key`: a key that is needed is not written.
    MissingKey,
    /// `wrong-type`: a value of another type belongs there, such as a list.
    WrongType,
    /// `out-of-range`: a number, size or duration is too small or too large.
    OutOfRange,
    /// `invalid-value`: a value cannot be read as what it stands for.
    InvalidValue,
    /// `unknown-name`: a value names a package, component, secret or choice that is not there.
    UnknownName,
    /// `duplicate`: something is written twice that may be there once.
    Duplicate,
    /// `conflict`: two values that are each right exclude each other, such as two listeners on one port.
    Conflict,
    /// `unsupported`: the value means something that is not served here.
    Unsupported,
    /// `address-unavailable`: an address cannot be listened on.
    AddressUnavailable,
    /// `other-digest`: a package's file is not the one that its digest is of.
    OtherDigest,
    /// `not-a-component`: a package's file is no WebAssembly, or no component.
    NotAComponent,
    /// `invalid-component`: a package's component is broken, or uses what this gateway does not have.
    InvalidComponent,
    /// `wrong-world`: a package's component imports or exports other interfaces than those of a handler of HTTP
    /// requests.
    WrongWorld,
    /// `component-too-large`: a package's component needs more than one may have.
    ComponentTooLarge,
    /// `no-snapshot`: the start-up of a package's component cannot be kept.
    NoSnapshot,
    /// `not-built`: a package's build command failed, or did not make its file.
    NotBuilt,
    /// `cache-unusable`: compiled code cannot be kept or loaded.
    CacheUnusable,
    /// `data-unusable`: the building blocks' data cannot be opened.
    DataUnusable,
    /// `data-in-use`: another process holds the building blocks' data.
    DataInUse,
    /// A registry is not to be reached, or does not keep to its protocol.
    RegistryUnavailable,
    /// A registry does not let us do it.
    RegistryRefused,
    /// A component is not signed by the key that is named.
    NotSigned,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 28] = [
        Self::FileMissing,
        Self::FileUnreadable,
        Self::FileTooLong,
        Self::NotPrivate,
        Self::Syntax,
        Self::UnknownKey,
        Self::MissingKey,
        Self::WrongType,
        Self::OutOfRange,
        Self::InvalidValue,
        Self::UnknownName,
        Self::Duplicate,
        Self::Conflict,
        Self::Unsupported,
        Self::AddressUnavailable,
        Self::OtherDigest,
        Self::NotAComponent,
        Self::InvalidComponent,
        Self::WrongWorld,
        Self::ComponentTooLarge,
        Self::NoSnapshot,
        Self::NotBuilt,
        Self::CacheUnusable,
        Self::DataUnusable,
        Self::DataInUse,
        Self::RegistryUnavailable,
        Self::RegistryRefused,
        Self::NotSigned,
    ];

    /// The word for it, in kebab case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FileMissing => "file-missing",
            Self::FileUnreadable => "file-unreadable",
            Self::FileTooLong => "file-too-long",
            Self::NotPrivate => "not-private",
            Self::Syntax => "syntax",
            Self::UnknownKey => "unknown-key",
            Self::MissingKey => "missing-key",
            Self::WrongType => "wrong-type",
            Self::OutOfRange => "out-of-range",
            Self::InvalidValue => "invalid-value",
            Self::UnknownName => "unknown-name",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Unsupported => "unsupported",
            Self::AddressUnavailable => "address-unavailable",
            Self::OtherDigest => "other-digest",
            Self::NotAComponent => "not-a-component",
            Self::InvalidComponent => "invalid-component",
            Self::WrongWorld => "wrong-world",
            Self::ComponentTooLarge => "component-too-large",
            Self::NoSnapshot => "no-snapshot",
            Self::NotBuilt => "not-built",
            Self::CacheUnusable => "cache-unusable",
            Self::DataUnusable => "data-unusable",
            Self::DataInUse => "data-in-use",
            Self::RegistryUnavailable => "registry-unavailable",
            Self::RegistryRefused => "registry-refused",
            Self::NotSigned => "not-signed",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_word_of_its_own_in_kebab_case() {
        let words: BTreeSet<_> = Code::ALL.into_iter().map(Code::as_str).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for word in words {
            let is_kebab = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
            assert!(word.split('-').all(is_kebab), "{word}");
        }
    }
}
