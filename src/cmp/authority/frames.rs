//! Finds the header blocks in what a client sends: preface, frames, CONTINUATION, padding.

use super::header_block::HeaderBlock;

/// Length of `PRI * HTTP/2.0...`, which comes before the first frame (RFC 9113, 3.4). `h2` checks its words.
pub(super) const PREFACE: usize = 24;
/// Length, type, flags, stream (RFC 9113, 4.1).
pub(super) const HEAD: usize = 9;
/// Stream dependency and weight, in a HEADERS frame that says so.
const PRIORITY: usize = 5;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const FLAG_PADDED: u8 = 0x08;
const FLAG_PRIORITY: u8 = 0x20;

/// Overwrites the values of `:authority` in the bytes of one client, in whatever pieces they come.
///
/// Keeps a few dozen bytes of state, whatever the client sends. Never fails: what is malformed passes, for `h2` to refuse.
#[derive(Debug)]
pub struct Repair {
    place: Place,
    block: HeaderBlock,
}

/// Where in the stream the next byte stands. Counts are of bytes still to come.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Nothing of ours, up to the next frame.
    Passing(usize),
    Head {
        bytes: [u8; HEAD],
        have: usize,
    },
    /// The byte of a HEADERS frame that says how much padding ends it.
    PadLength {
        payload: usize,
        priority: bool,
    },
    Priority {
        left: usize,
        fragment: usize,
        padding: usize,
    },
    /// A piece of a header block.
    Fragment {
        left: usize,
        padding: usize,
    },
}

impl Place {
    const FRAME: Self = Self::Head { bytes: [0; HEAD], have: 0 };
}

impl Default for Repair {
    fn default() -> Self {
        Self { place: Place::Passing(PREFACE), block: HeaderBlock::default() }
    }
}

impl Repair {
    /// Repairs the next bytes of the connection in place.
    pub fn apply(&mut self, mut bytes: &mut [u8]) {
        loop {
            self.settle();
            if bytes.is_empty() {
                return;
            }
            let taken = self.step(bytes);
            bytes = &mut bytes[taken..];
        }
    }

    /// Leaves a place of which no byte is left.
    fn settle(&mut self) {
        if let Place::Priority { left: 0, fragment, padding } = self.place {
            self.place = Place::Fragment { left: fragment, padding };
        }
        if let Place::Fragment { left: 0, padding } = self.place {
            self.place = Place::Passing(padding);
        }
        if let Place::Passing(0) = self.place {
            self.place = Place::FRAME;
        }
    }

    /// Goes over bytes of one place, and says how many: at least one.
    fn step(&mut self, bytes: &mut [u8]) -> usize {
        match &mut self.place {
            Place::Passing(left) | Place::Priority { left, .. } => take(left, bytes),
            Place::Head { bytes: head, have } => {
                let taken = bytes.len().min(HEAD - *have);
                head[*have..*have + taken].copy_from_slice(&bytes[..taken]);
                *have += taken;
                if *have == HEAD {
                    let head = *head;
                    self.place = self.payload(head);
                }
                taken
            }
            Place::PadLength { payload, priority } => {
                self.place = headers(*payload, *priority, usize::from(bytes[0]));
                1
            }
            Place::Fragment { left, .. } => {
                let taken = take(left, bytes);
                self.block.walk(&mut bytes[..taken]);
                taken
            }
        }
    }

    /// Where the payload of a frame begins.
    fn payload(&mut self, head: [u8; HEAD]) -> Place {
        let [high, middle, low, kind, flags, ..] = head;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        match kind {
            HEADERS => {
                self.block = HeaderBlock::default();
                let priority = flags & FLAG_PRIORITY != 0;
                if flags & FLAG_PADDED == 0 {
                    headers(length, priority, 0)
                } else if length == 0 {
                    Place::FRAME
                } else {
                    Place::PadLength { payload: length - 1, priority }
                }
            }
            CONTINUATION => Place::Fragment { left: length, padding: 0 },
            _ => Place::Passing(length),
        }
    }
}

/// The parts of a HEADERS frame behind the length of its padding.
fn headers(payload: usize, priority: bool, padding: usize) -> Place {
    let left = if priority { payload.min(PRIORITY) } else { 0 };
    let padding = padding.min(payload - left);
    Place::Priority { left, fragment: payload - left - padding, padding }
}

/// Takes as many of the `left` bytes as are there.
fn take(left: &mut usize, bytes: &[u8]) -> usize {
    let taken = bytes.len().min(*left);
    *left -= taken;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the repo-server sent, once recorded.
    const RECORDED: &[u8] = include_bytes!("../../../tests/wire/repo-server.bin");
    const FLAG_END_HEADERS: u8 = 0x04;
    const DATA: u8 = 0;

    fn repaired(bytes: &[u8]) -> Vec<u8> {
        let mut repaired = bytes.to_vec();
        Repair::default().apply(&mut repaired);
        repaired
    }

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[high, middle, low, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frames.concat()].concat()
    }

    /// A block whose last field is an authority of this value.
    fn block(value: &[u8]) -> Vec<u8> {
        [&[0x83, 0x86, 0x41, u8::try_from(value.len()).unwrap()], value].concat()
    }

    #[test]
    fn the_pieces_in_which_bytes_come_do_not_matter() {
        let whole = repaired(RECORDED);
        assert_ne!(whole, RECORDED);
        for size in [1, 2, 3, 7, 9, 100, 1000] {
            let mut pieces = RECORDED.to_vec();
            let mut repair = Repair::default();
            pieces.chunks_mut(size).for_each(|piece| repair.apply(piece));
            assert_eq!(pieces, whole, "pieces of {size}");
        }
    }

    #[test]
    fn only_the_first_of_the_recorded_calls_spells_the_authority_out() {
        let whole = repaired(RECORDED);
        let changed: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] != RECORDED[at]).collect();
        // 35 bytes in Huffman's code; later calls refer to the dynamic table.
        assert!((30..=35).contains(&changed.len()), "{} bytes have changed", changed.len());
        assert!(changed[changed.len() - 1] - changed[0] < 35);
    }

    #[test]
    fn padding_and_priority_are_not_part_of_the_block() {
        let pad = b"\x41\x03a%b";
        let priority = b"\x41\x03a%b";
        let payload = |flags: u8, value: &[u8]| {
            let mut payload = Vec::new();
            if flags & FLAG_PADDED != 0 {
                payload.push(5);
            }
            if flags & FLAG_PRIORITY != 0 {
                payload.extend(priority);
            }
            payload.extend(block(value));
            if flags & FLAG_PADDED != 0 {
                payload.extend(pad);
            }
            frame(HEADERS, flags | FLAG_END_HEADERS, &payload)
        };
        for flags in [0, FLAG_PADDED, FLAG_PRIORITY, FLAG_PADDED | FLAG_PRIORITY] {
            let sent = connection(&[payload(flags, b"a%b"), payload(flags, b"c%")]);
            assert_eq!(repaired(&sent), connection(&[payload(flags, b"XXX"), payload(flags, b"XX")]), "flags {flags}");
        }
    }

    #[test]
    fn a_block_may_be_continued_at_any_byte() {
        let cut = |value: &[u8], at: usize| {
            let block = block(value);
            let (first, second) = block.split_at(at);
            let (nothing, flags) = (frame(CONTINUATION, 0, &[]), FLAG_END_HEADERS);
            connection(&[frame(HEADERS, 0, first), nothing, frame(CONTINUATION, flags, second)])
        };
        for at in 0..=block(b"a%b").len() {
            assert_eq!(repaired(&cut(b"a%b", at)), cut(b"XXX", at), "continued at {at}");
        }
    }

    #[test]
    fn frames_without_a_header_block_pass() {
        let other = (0..=255).filter(|kind| ![HEADERS, CONTINUATION].contains(kind));
        let sent = connection(&other.map(|kind| frame(kind, 0xff, &block(b"a%b"))).collect::<Vec<_>>());
        assert_eq!(repaired(&sent), sent);
    }

    #[test]
    fn every_request_begins_a_new_block() {
        // The first says that a value of 100 bytes follows, and ends.
        let broken = frame(HEADERS, FLAG_END_HEADERS, &[0x44, 100]);
        let sent = |value| connection(&[broken.clone(), frame(HEADERS, FLAG_END_HEADERS, &block(value))]);
        assert_eq!(repaired(&sent(b"a%b")), sent(b"XXX"));
    }

    #[test]
    fn malformed_padding_and_priority_do_not_lose_the_next_frame() {
        let malformed: [&[u8]; 5] = [&[], &[0], &[200, 1, 2], &[255; 6], &[1, 0, 0, 0, 0, 0]];
        for payload in malformed {
            for flags in [FLAG_PADDED, FLAG_PRIORITY, FLAG_PADDED | FLAG_PRIORITY] {
                let sent = |value| {
                    let data = frame(DATA, 0, b"\x41\x03a%b");
                    connection(&[frame(HEADERS, flags, payload), data, frame(HEADERS, 0, &block(value))])
                };
                assert_eq!(repaired(&sent(b"a%b")), sent(b"XXX"), "flags {flags}, {payload:?}");
            }
        }
    }
}
