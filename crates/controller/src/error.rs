//! A refusal: Kafka's code, and words.

use metadata::configs::validate::ConfigError;
use protocol::Str;
use types::ErrorCode;

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub code: ErrorCode,
    pub message: Option<String>,
}

impl Refused {
    /// A refusal in these words.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Refused {
        Refused {
            code,
            message: Some(message.into()),
        }
    }

    /// A refusal without words of its own.
    pub fn bare(code: ErrorCode) -> Refused {
        Refused {
            code,
            message: None,
        }
    }

    /// `INVALID_REQUEST`, which most refusals are.
    pub fn request(message: impl Into<String>) -> Refused {
        Refused::new(ErrorCode::INVALID_REQUEST, message)
    }

    /// More records than one decision writes.
    pub fn too_large() -> Refused {
        Refused::new(
            ErrorCode::POLICY_VIOLATION,
            "Unable to perform excessively large batch operation.",
        )
    }

    /// As the two fields of an answer.
    pub fn fields(self) -> (i16, Option<Str>) {
        (self.code.0, self.message.map(Str::from))
    }
}

impl From<ConfigError> for Refused {
    fn from(error: ConfigError) -> Refused {
        Refused::new(error.code, error.message)
    }
}

/// The two fields of an answer: no error for `Ok`.
pub(crate) fn fields<T>(result: Result<T, Refused>) -> (i16, Option<Str>) {
    result.map_or_else(Refused::fields, |_| (0, None))
}
