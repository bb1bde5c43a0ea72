//! Joins the DATA frames that stand one behind the other in what was read.

use super::frames::{HEAD, PREFACE};

const DATA: u8 = 0;
/// The longest frame that every server takes (RFC 9113, 4.2), and the longest that tonic takes unless told otherwise.
const LONGEST: usize = 16 * 1024;

/// Makes few DATA frames of many.
///
/// The repo-server sends an archive as messages of 1 KiB, each in a frame of its own, and `h2` spends more on a frame than on its bytes. Frames of one
/// stream without flags (padding, the end of the stream) become one frame of the sum of their lengths: flow control counts the same, and a message may
/// begin anywhere in a frame. Never waits for more, and never goes back to what it has handed out.
#[derive(Debug)]
pub struct Joiner {
    place: Place,
}

/// Where in the stream the next byte stands.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// In what is no frame head, with so many bytes still to come.
    Passing(usize),
    /// In the head of a frame, so much of which came with an earlier read.
    Head { bytes: [u8; HEAD], have: usize },
}

/// A frame that may grow: its head stands in the bytes at hand.
struct Open {
    at: usize,
    stream: [u8; 4],
    length: usize,
}

impl Default for Joiner {
    fn default() -> Self {
        Self { place: Place::Passing(PREFACE) }
    }
}

impl Joiner {
    /// Joins what stands in the next bytes of the connection, at their front; how many bytes remain. Some do, if there were any.
    pub fn join(&mut self, bytes: &mut [u8]) -> usize {
        let (mut from, mut to) = (0, 0);
        let mut open: Option<Open> = None;
        while from < bytes.len() {
            let mut taken = bytes.len() - from;
            match &mut self.place {
                Place::Passing(left) => {
                    taken = taken.min(*left);
                    *left -= taken;
                    if *left == 0 {
                        self.place = Place::Head { bytes: [0; HEAD], have: 0 };
                    }
                }
                Place::Head { bytes: head, have } => {
                    taken = taken.min(HEAD - *have);
                    head[*have..*have + taken].copy_from_slice(&bytes[from..from + taken]);
                    *have += taken;
                    if *have == HEAD {
                        let [high, middle, low, kind, flags, stream @ ..] = *head;
                        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                        self.place = Place::Passing(length);
                        let joins = kind == DATA && flags == 0 && taken == HEAD;
                        open = match open {
                            Some(open) if joins && open.stream == stream && open.length + length <= LONGEST => {
                                let length = open.length + length;
                                let [.., high, middle, low] = length.to_be_bytes();
                                bytes[open.at..open.at + 3].copy_from_slice(&[high, middle, low]);
                                from += HEAD;
                                taken = 0;
                                Some(Open { length, ..open })
                            }
                            _ => joins.then_some(Open { at: to, stream, length }),
                        };
                    }
                }
            }
            bytes.copy_within(from..from + taken, to);
            from += taken;
            to += taken;
        }
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END_STREAM: u8 = 1;
    const PADDED: u8 = 8;
    const PING: u8 = 6;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[high, middle, low, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    fn data(payload: &[u8]) -> Vec<u8> {
        frame(DATA, 0, 1, payload)
    }

    /// What becomes of frames that are read in pieces which end behind so many bytes.
    fn joined(frames: &[Vec<u8>], ends: &[usize]) -> Vec<u8> {
        let mut bytes = frames.concat();
        let mut joiner = Joiner::default();
        assert_eq!(joiner.join(&mut [b'-'; PREFACE]), PREFACE);
        let mut read = Vec::new();
        let mut begin = 0;
        for end in ends.iter().copied().chain([bytes.len()]) {
            let kept = joiner.join(&mut bytes[begin..end]);
            assert_eq!(kept == 0, begin == end, "nothing left would be read as the end of the stream");
            read.extend(&bytes[begin..begin + kept]);
            begin = end;
        }
        read
    }

    #[test]
    fn data_of_one_stream_becomes_one_frame() {
        let sent = [data(b"one"), data(b""), data(b"two"), data(b"three")];
        assert_eq!(joined(&sent, &[]), data(b"onetwothree"));
    }

    #[test]
    fn the_last_frame_may_still_be_on_its_way() {
        let sent = [data(b"one"), data(b"two"), data(b"three")];
        let (first, second) = (sent[0].len(), sent[1].len());
        // In the payload of the second frame, and at its end: the first one has it all, the third is read too late.
        for end in first + HEAD..=first + second {
            assert_eq!(joined(&sent, &[end]), [data(b"onetwo"), data(b"three")].concat(), "read up to {end}");
        }
        // In its head.
        for end in first + 1..first + HEAD {
            assert_eq!(joined(&sent, &[end]), sent.concat(), "read up to {end}");
        }
    }

    #[test]
    fn byte_by_byte_nothing_is_joined() {
        let sent = [data(b"one"), data(b"two"), frame(DATA, END_STREAM, 1, b"")];
        let ends: Vec<usize> = (0..sent.concat().len()).collect();
        assert_eq!(joined(&sent, &ends), sent.concat());
    }

    #[test]
    fn padding_ends_of_streams_other_streams_and_other_frames_stand_alone() {
        let padded = frame(DATA, PADDED, 1, b"\x02three\0\0");
        let end = frame(DATA, END_STREAM, 1, b"four");
        let sent = [data(b"one"), frame(DATA, 0, 3, b"two"), data(b"one"), padded, data(b"one"), end];
        assert_eq!(joined(&sent, &[]), sent.concat());
        let sent = [data(b"one"), frame(PING, 0, 0, &[0; 8]), data(b"two"), data(b"three")];
        assert_eq!(joined(&sent, &[]), [data(b"one"), frame(PING, 0, 0, &[0; 8]), data(b"twothree")].concat());
    }

    #[test]
    fn no_frame_grows_longer_than_a_server_takes() {
        let sent = vec![data(&[7; 1000]); 40];
        let longest = data(&[7; 16_000]);
        assert_eq!(joined(&sent, &[]), [longest.clone(), longest, data(&[7; 8000])].concat());
        assert_eq!(joined(&[data(&[7; 16_384]), data(b"x")], &[]), [data(&[7; 16_384]), data(b"x")].concat());
        assert_eq!(joined(&[data(&[7; 16_383]), data(b"x")], &[]), data(&[&[7; 16_383], &b"x"[..]].concat()));
        // Too long already: for `h2` to refuse.
        let too_long = [data(&vec![7; 20_000]), data(b"x")];
        assert_eq!(joined(&too_long, &[]), too_long.concat());
    }
}
