//! What can be wrong with a configuration, told with the full name of the option.

use std::fmt;

/// A configuration that cannot be loaded or used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The file name does not end in a known extension.
    UnknownFormat {
        /// The name of the file.
        file: String,
    },
    /// The file is not well-formed.
    Syntax {
        /// The name of the file.
        file: String,
        /// What the parser said.
        detail: String,
    },
    /// A value is not of the kind that its option takes.
    Value {
        /// The option: a path, the name of a variable, or a flag.
        option: String,
        /// What the option takes.
        expected: String,
        /// What was found, without repeating texts that may be secret.
        found: String,
    },
    /// `${CENTRIFUGO_VAR_...}` names a variable that does not exist.
    MissingVariable {
        /// The option whose value names it.
        option: String,
        /// The variable.
        variable: String,
    },
    /// `.env` is not well-formed.
    DotEnv {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A value or a combination of values that makes no sense.
    Invalid {
        /// The option.
        option: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Something that this version cannot do and must not pass over.
    Unavailable {
        /// The option.
        option: String,
        /// Its value when that is the point.
        value: String,
    },
}

impl Error {
    /// A value or combination that makes no sense.
    pub fn invalid(option: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Invalid { option: option.into(), problem: problem.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::UnknownFormat { file } => {
                write!(f, "cannot read config file {file}: the name must end in .json, .toml, .yaml or .yml")
            }
            Error::Syntax { file, detail } => write!(f, "cannot read config file {file}: {detail}"),
            Error::Value { option, expected, found } => write!(f, "{option}: expected {expected}, found {found}"),
            Error::MissingVariable { option, variable } => {
                write!(f, "{option}: environment variable {variable} not found")
            }
            Error::DotEnv { line, problem } => write!(f, ".env: line {line} {problem}"),
            Error::Invalid { option, problem } => write!(f, "{option}: {problem}"),
            Error::Unavailable { option, value } => {
                write!(f, "{option}: {value} is not available in this version of Spindle")
            }
        }
    }
}

impl std::error::Error for Error {}
