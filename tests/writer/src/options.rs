//! The arguments behind the mode: `key=value`, numbers or words.

/// What was given.
pub(crate) struct Options(Vec<(String, String)>);

impl Options {
    /// Takes the arguments apart; one without `=` has an empty value.
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Options {
        Options(
            arguments
                .map(|argument| {
                    let (key, value) = argument.split_once('=').unwrap_or((&argument, ""));
                    (key.to_string(), value.to_string())
                })
                .collect(),
        )
    }

    /// The word given for `key`, empty when there is none.
    pub(crate) fn word(&self, key: &str) -> &str {
        let given = self.0.iter().find(|(given, _)| given == key);
        given.map_or("", |(_, value)| value)
    }

    /// The number given for `key`.
    ///
    /// # Panics
    ///
    /// When something else than a number was given: the test that started this program is wrong.
    pub(crate) fn number(&self, key: &str, default: u64) -> u64 {
        match self.word(key) {
            "" => default,
            word => word.parse().expect("the option takes a number"),
        }
    }
}
