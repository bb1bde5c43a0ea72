//! Walks a header block (RFC 7541) without decoding it, and overwrites the values whose name is `:authority`.

/// The name, raw and in Huffman's code.
const NAME: &[u8] = b":authority";
const NAME_HUFFMAN: &[u8] = &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f];
/// Its index in the static table.
const STATIC_INDEX: u8 = 1;

/// `X` is a letter that any host may consist of, and one of the six whose Huffman code is a whole byte: as many of them as a value has bytes are a value
/// of the same length, in either form.
const FILL: u8 = b'X';
const FILL_HUFFMAN: u8 = 0xfc;

/// The top bit of a string's length: its text is in Huffman's code.
const HUFFMAN: u8 = 0x80;
/// In the second and later bytes of an integer: another one follows.
const MORE: u8 = 0x80;

/// One header block, in whatever pieces it comes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HeaderBlock {
    next: Next,
}

/// What the next byte is.
#[derive(Debug, Clone, Copy, Default)]
enum Next {
    /// The first byte of a field, or of a change of the table's size.
    #[default]
    Field,
    /// More bytes of an index or size, whose number does not matter; then a string, if the field has one.
    Number(Option<Text>),
    /// The first byte of a string.
    Length(Text),
    /// More bytes of a string's length.
    LengthRest { text: Text, huffman: bool, length: u64, shift: u32 },
    /// The bytes of a string.
    Text { text: Text, huffman: bool, left: u64 },
}

/// The strings of a literal field.
#[derive(Debug, Clone, Copy)]
enum Text {
    /// `authority`: as far as it has been read, it is that name.
    Name { authority: bool },
    /// `authority`: of that name.
    Value { authority: bool },
}

impl HeaderBlock {
    /// Goes over the next piece of the block.
    pub(super) fn walk(&mut self, mut piece: &mut [u8]) {
        while let Some(&first) = piece.first() {
            let mut taken = 1;
            self.next = match self.next {
                Next::Field => field(first),
                Next::Number(text) if first & MORE != 0 => Next::Number(text),
                Next::Number(text) => text.map_or(Next::Field, Next::Length),
                Next::Length(text) => {
                    let (huffman, length) = (first & HUFFMAN != 0, first & !HUFFMAN);
                    match length {
                        0x7f => Next::LengthRest { text, huffman, length: 0x7f, shift: 0 },
                        _ => begin(text, huffman, length.into()),
                    }
                }
                Next::LengthRest { text, huffman, length, shift } => {
                    // Integers of more than five bytes are refused by `h2`: here it is enough not to stumble.
                    let part = u64::from(first & !MORE).checked_shl(shift).unwrap_or(u64::MAX);
                    let (length, shift) = (length.saturating_add(part), shift.saturating_add(7));
                    match first & MORE {
                        0 => begin(text, huffman, length),
                        _ => Next::LengthRest { text, huffman, length, shift },
                    }
                }
                Next::Text { text, huffman, left } => {
                    taken = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
                    read(text, huffman, left, &mut piece[..taken])
                }
            };
            piece = &mut piece[taken..];
        }
    }
}

/// What follows the first byte of a field (RFC 7541, 6).
fn field(first: u8) -> Next {
    // Indexed; literal that enters the table; change of its size; literal that does not enter it. The prefix holds an index, or a size.
    let (prefix, literal) = match first {
        0x80.. => (0x7f, false),
        0x40.. => (0x3f, true),
        0x20.. => (0x1f, false),
        _ => (0x0f, true),
    };
    let index = first & prefix;
    let text = literal.then_some(match index {
        0 => Text::Name { authority: true },
        _ => Text::Value { authority: index == STATIC_INDEX },
    });
    if index == prefix { Next::Number(text) } else { text.map_or(Next::Field, Next::Length) }
}

/// What follows a string's length.
fn begin(text: Text, huffman: bool, length: u64) -> Next {
    let text = match text {
        Text::Name { .. } => Text::Name { authority: length == name(huffman).len() as u64 },
        value @ Text::Value { .. } => value,
    };
    continued(text, huffman, length)
}

/// Reads bytes of a string, or overwrites them; what follows them.
fn read(text: Text, huffman: bool, left: u64, bytes: &mut [u8]) -> Next {
    let text = match text {
        // Of the right length, so what is left is the end of the name.
        Text::Name { authority: true } => {
            let rest = &name(huffman)[name(huffman).len() - usize::try_from(left).unwrap_or(0)..];
            Text::Name { authority: rest.starts_with(bytes) }
        }
        Text::Value { authority: true } => {
            bytes.fill(if huffman { FILL_HUFFMAN } else { FILL });
            text
        }
        _ => text,
    };
    continued(text, huffman, left - bytes.len() as u64)
}

/// More of the string, or what stands behind it.
fn continued(text: Text, huffman: bool, left: u64) -> Next {
    match (left, text) {
        (0, Text::Name { authority }) => Next::Length(Text::Value { authority }),
        (0, Text::Value { .. }) => Next::Field,
        _ => Next::Text { text, huffman, left },
    }
}

fn name(huffman: bool) -> &'static [u8] {
    if huffman { NAME_HUFFMAN } else { NAME }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The block after the walk, which must not depend on the pieces in which it comes.
    fn walked(block: &[u8]) -> Vec<u8> {
        let mut whole = block.to_vec();
        HeaderBlock::default().walk(&mut whole);
        for at in 0..=block.len() {
            let mut split = block.to_vec();
            let (first, second) = split.split_at_mut(at);
            let mut walk = HeaderBlock::default();
            walk.walk(first);
            walk.walk(second);
            assert_eq!(split, whole, "split at {at}");
        }
        whole
    }

    fn join(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn a_value_whose_name_is_the_static_index_is_overwritten() {
        for entering_not_entering_never in [0x41, 0x01, 0x11] {
            let block = join(&[&[entering_not_entering_never, 3], b"a%b"]);
            assert_eq!(walked(&block), join(&[&[entering_not_entering_never, 3], b"XXX"]));
        }
    }

    #[test]
    fn a_value_whose_name_is_spelled_out_is_overwritten() {
        for entering_not_entering_never in [0x40, 0x00, 0x10] {
            let raw = join(&[&[entering_not_entering_never, 10], b":authority"]);
            let huffman = join(&[&[entering_not_entering_never, 0x88], NAME_HUFFMAN]);
            for name in [raw, huffman] {
                assert_eq!(walked(&join(&[&name, &[3], b"a%b"])), join(&[&name, &[3], b"XXX"]));
                assert_eq!(walked(&join(&[&name, &[0x82, 1, 2]])), join(&[&name, &[0x82, 0xfc, 0xfc]]));
            }
        }
    }

    #[test]
    fn a_value_in_huffmans_code_stays_in_it() {
        assert_eq!(walked(&[0x41, 0x83, 1, 2, 3]), [0x41, 0x83, 0xfc, 0xfc, 0xfc]);
    }

    #[test]
    fn a_value_longer_than_its_prefix_can_say_is_overwritten_to_its_end() {
        // 300 = 127 + 45 + 128.
        let head = [0x41, 0x7f, 0xad, 0x01];
        assert_eq!(walked(&join(&[&head, &[b'%'; 300], &[0x82]])), join(&[&head, &[b'X'; 300], &[0x82]]));
    }

    #[test]
    fn fields_around_the_authority_are_stepped_over() {
        let before: [&[u8]; 7] = [
            // The table's size changes, to 31 and to 4096.
            &[0x3f, 0x00, 0x3f, 0xe1, 0x1f],
            // Indexed: static, and with an index of more than one byte.
            &[0x83, 0xff, 0x80, 0x01],
            // Another static name; a dynamic one, with an index of one byte and of two.
            &[0x44, 2, 0x41, 0x01],
            &[0x7e, 2, 0x41, 0x01],
            &[0x7f, 0x05, 0x81, 0x41],
            &[0x0f, 0x2f, 0x01, 0x41],
            // A spelled-out name without a value.
            &[0x00, 1, b'x', 0],
        ];
        let before = before.concat();
        let after = [0x82, 0x44, 1, b'/'];
        let authority = |value: &[u8]| join(&[&before, &[0x41, 3], value, &after, &[0x41, 3], value]);
        assert_eq!(walked(&authority(b"a%b")), authority(b"XXX"));
    }

    #[test]
    fn other_names_keep_their_values() {
        let names: [&[u8]; 6] = [b":authoritz", b"xauthority", b":authorit", b":authority:", b":Authority", b""];
        for name in names {
            let block = join(&[&[0x40, u8::try_from(name.len()).unwrap()], name, &[3], b"a%b"]);
            assert_eq!(walked(&block), block);
        }
        // The bytes of one form, said to be in the other.
        for block in [join(&[&[0x40, 0x08], NAME_HUFFMAN, &[1, b'%']]), join(&[&[0x40, 0x8a], NAME, &[1, b'%']])] {
            assert_eq!(walked(&block), block);
        }
    }

    #[test]
    fn a_name_from_the_dynamic_table_is_left_to_h2() {
        let block = [0x7e, 1, b'%'];
        assert_eq!(walked(&block), block);
    }

    #[test]
    fn an_empty_value_stays_empty() {
        let block = [0x41, 0, 0x82, 0x41, 0x80, 0x82];
        assert_eq!(walked(&block), block);
    }

    #[test]
    fn absurd_lengths_cover_the_rest_of_the_block() {
        let lengths: [&[u8]; 3] = [&[0x7f, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0x7f; 2], &[0x7f, 0xff, 0xff, 0xff, 0x7f]];
        for length in lengths {
            assert_eq!(walked(&join(&[&[0x41], length, b"a%b"])), join(&[&[0x41], length, b"XXX"]));
        }
        let endless = join(&[&[0x41, 0x7f], &[0xff; 100], &[0x7f], b"a%b"]);
        assert_eq!(walked(&endless), join(&[&[0x41, 0x7f], &[0xff; 100], &[0x7f], b"XXX"]));
        let name = join(&[&[0x40, 0x7f], &[0xff; 20], &[0x01], b":authority"]);
        assert_eq!(walked(&name), name);
    }
}
