//! How far a replica has come with one owner's map, and what of that owner's it may take.

use crate::wire::Span;

/// Where an entry begins in the store.
pub(crate) type At = u32;
/// No entry.
pub(crate) const NOWHERE: At = At::MAX;

/// Two to each map: *vital* and *bulk*.
pub(crate) const LOGS: usize = 2;
pub(crate) const BULK: usize = 0;
pub(crate) const VITAL_LOG: usize = 1;

/// One log: what was written, in order of version; of each key only the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Log {
    /// All up to this version is here, but for what is gone by now.
    pub(crate) version: u32,
    /// What was deleted up to this version is no longer said to be.
    pub(crate) floor: u32,
    /// The latest state of which anything has come. Until all up to it has, what is here from before may be out of date in
    /// a way that nobody has seen: it is no base for a rebuild.
    pub(crate) exposed: u32,
    /// Up to this version the application has been told.
    pub(crate) told: u32,
    /// The entry with the greatest version.
    pub(crate) last: At,
    /// Some of what is up to `version` had to go while the log was read again: it is given to nobody, and must be read
    /// again from the beginning.
    pub(crate) hollow: bool,
    /// There was no room for all of it.
    pub(crate) refused: bool,
}

impl Log {
    pub(crate) const NEW: Self =
        Log { version: 0, floor: 0, exposed: 0, told: 0, last: NOWHERE, hollow: false, refused: false };
}

/// One owner's map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Map {
    pub(crate) logs: [Log; LOGS],
    /// How many bytes its entries take.
    pub(crate) used: u32,
    /// It was replaced, and the application has not been told.
    pub(crate) replaced: bool,
}

impl Map {
    pub(crate) const NEW: Self = Map { logs: [Log::NEW; LOGS], used: 0, replaced: false };

    pub(crate) fn log(&self, log: usize) -> &Log {
        let [bulk, vital] = &self.logs;
        if log == BULK { bulk } else { vital }
    }

    pub(crate) fn log_mut(&mut self, log: usize) -> &mut Log {
        let [bulk, vital] = &mut self.logs;
        if log == BULK { bulk } else { vital }
    }

    /// Whether anything of it is here.
    pub(crate) fn has_any(&self) -> bool {
        self.used > 0 || self.versions() != [0; LOGS]
    }

    /// Whether one who has come to these versions has what is lacking here, and there may be room for.
    pub(crate) fn wants(&self, said: [u32; LOGS]) -> bool {
        self.logs.iter().zip(said).any(|(log, said)| log.version < said && !log.refused)
    }

    /// How far both logs have come.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn versions(&self) -> [u32; LOGS] {
        self.logs.map(|log| log.version)
    }
}

/// A log that is read again from its beginning, as what was deleted since is no longer said.
///
/// What a chunk lists is confirmed, and at the end goes what was not. No chunk counts that is of an earlier state than
/// one before it, and none whose sender has forgotten deletions that were made since the first: nothing that was deleted can
/// come back, and nothing that is there goes even for a moment, unless there is no room for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rebuild {
    /// Up to here it has been read.
    pub(crate) cursor: u32,
    /// Of which state the first chunk was, and the last.
    first: u32,
    last: u32,
    floor: u32,
}

/// What to do with a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing of it is new.
    Old,
    /// Something between is missing, or it is of an earlier state than what came before.
    Unfit,
    /// To be added.
    Adds,
    /// To be read as the next part of a rebuild, which is its first if that is so.
    Rebuilds { first: bool, rebuild: Rebuild },
}

/// Whether a log, which is in the middle of a rebuild or not, may take a chunk. Never does a deleted key come back by it,
/// nor an earlier version.
pub(crate) fn judge(log: &Log, rebuild: Option<&Rebuild>, span: &Span) -> Verdict {
    let Span { from, to, as_of, floor, sure } = *span;
    let next = rebuild.filter(|held| {
        let goes_on = from <= held.cursor && held.cursor < to;
        goes_on && sure && as_of >= held.last && floor <= held.first
    });
    if let Some(held) = next {
        let rebuild = Rebuild { cursor: to, last: as_of, floor: held.floor.max(floor), ..*held };
        return Verdict::Rebuilds { first: false, rebuild };
    }
    // What was deleted since is not said any more, or some is missing here: only from the beginning, and from a state as
    // late as what is held. A rebuild that could go on is given up only for a whole map.
    let anew = |held: &Rebuild| as_of >= held.last && (to == as_of || floor > held.first);
    if floor > log.version || log.hollow {
        if from == 0 && to > 0 && sure && as_of >= log.version && rebuild.is_none_or(anew) {
            let rebuild = Rebuild { cursor: to, first: as_of, last: as_of, floor };
            return Verdict::Rebuilds { first: true, rebuild };
        }
        return Verdict::Unfit;
    }
    if to <= log.version {
        return Verdict::Old;
    }
    if from <= log.version && rebuild.is_none() { Verdict::Adds } else { Verdict::Unfit }
}

impl Rebuild {
    /// The same, of which nothing is here yet.
    pub(crate) fn before_any(self) -> Self {
        Rebuild { cursor: 0, ..self }
    }

    /// Whether this was its last part.
    pub(crate) fn is_done(&self) -> bool {
        self.cursor >= self.last
    }

    /// The log's floor when it is done.
    pub(crate) fn floor(&self) -> u32 {
        self.floor.min(self.last)
    }
}
