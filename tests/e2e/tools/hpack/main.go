// Command hpack writes connections of an HTTP/2 client whose header blocks come from Go's encoder, the one in grpc-go: with values that
// leave the dynamic table again, changes of its size, blocks in several frames, padding. For each connection NAME.bin is what the client
// sends, and NAME.txt the requests that it means, one field a line, with an empty line behind each.
//
//	hpack [-connections 6] [-requests 120] [-seed 1] FOLDER
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("hpack: ")
	connections := flag.Uint64("connections", 6, "connections to write")
	requests := flag.Int("requests", 120, "requests in each")
	seed := flag.Uint64("seed", 1, "the same seed, the same bytes")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("which folder?")
	}
	for i := range *connections {
		c := newClient(rand.New(rand.NewPCG(*seed, i)))
		for n := range *requests {
			c.request(uint32(2*n + 1))
		}
		name := filepath.Join(flag.Arg(0), fmt.Sprintf("connection-%d", i))
		check(os.WriteFile(name+".bin", c.bytes.Bytes(), 0o644))
		check(os.WriteFile(name+".txt", []byte(c.meant.String()), 0o644))
	}
}

type client struct {
	*rand.Rand
	bytes       bytes.Buffer
	meant       strings.Builder
	framer      *http2.Framer
	block       bytes.Buffer
	encoder     *hpack.Encoder
	authorities []string
	// Values come from a vocabulary: some of them again while they are in the table, some after they have left it.
	words []string
}

func newClient(r *rand.Rand) *client {
	c := &client{Rand: r}
	c.encoder = hpack.NewEncoder(&c.block)
	c.bytes.WriteString(http2.ClientPreface)
	c.framer = http2.NewFramer(&c.bytes, nil)
	check(c.framer.WriteSettings())
	c.authorities = []string{"home%2Fargocd%2Fcmp-server%2Fplugins%2Fsops.sock", "%", "a%", "{|}%{|}", "localhost"}
	for range 4 {
		c.authorities = append(c.authorities, c.text("abcdefghijklmnopqrstuvwxyz-0123456789.%", 80))
	}
	c.authorities = append(c.authorities, strings.Repeat("large%2F", 50+r.IntN(600)))
	for range 40 {
		c.words = append(c.words, c.text("abcdefghijklmnopqrstuvwxyz-0123456789.%{|}~^", 60))
	}
	return c
}

func (c *client) text(letters string, most int) string {
	text := make([]byte, 1+c.IntN(most))
	for i := range text {
		text[i] = letters[c.IntN(len(letters))]
	}
	return string(text)
}

func (c *client) one(of []string) string { return of[c.IntN(len(of))] }

func (c *client) request(stream uint32) {
	c.block.Reset()
	if c.IntN(12) == 0 {
		sizes := []uint32{0, 40, 100, 200, 500, 1000, 4096}
		c.encoder.SetMaxDynamicTableSize(sizes[c.IntN(len(sizes))])
		if c.IntN(3) == 0 {
			c.encoder.SetMaxDynamicTableSize(sizes[c.IntN(len(sizes))])
		}
	}
	c.field(":method", "POST", false)
	c.field(":scheme", "http", false)
	if c.IntN(8) == 0 {
		c.spelledOut(c.one(c.authorities))
	} else {
		c.field(":authority", c.one(c.authorities), c.IntN(6) == 0)
	}
	c.field(":path", fmt.Sprintf("/%d", c.IntN(8)), c.IntN(6) == 0)
	for range c.IntN(6) {
		// Without a prefix a word might be a name that HTTP/2 forbids.
		name := fmt.Sprintf("x-%d", c.IntN(30))
		c.field(name, c.one(c.words), c.IntN(6) == 0)
	}
	c.meant.WriteString("\n")
	c.frames(stream)
}

func (c *client) field(name, value string, sensitive bool) {
	fmt.Fprintf(&c.meant, "%s: %s\n", name, value)
	check(c.encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: sensitive}))
}

// spelledOut writes an authority as Go never does: its name in letters or in Huffman's code, not entering the table.
func (c *client) spelledOut(value string) {
	fmt.Fprintf(&c.meant, ":authority: %s\n", value)
	c.block.WriteByte([]byte{0x00, 0x10}[c.IntN(2)])
	c.str(":authority")
	c.str(value)
}

func (c *client) str(text string) {
	top := byte(0)
	if c.IntN(2) == 0 && hpack.HuffmanEncodeLength(text) < uint64(len(text)) {
		top, text = 0x80, string(hpack.AppendHuffmanString(nil, text))
	}
	if length := len(text); length < 127 {
		c.block.WriteByte(top | byte(length))
	} else {
		c.block.WriteByte(top | 127)
		for length -= 127; length >= 128; length /= 128 {
			c.block.WriteByte(byte(length%128) | 0x80)
		}
		c.block.WriteByte(byte(length))
	}
	c.block.WriteString(text)
}

// frames sends the block, in one frame or several, among frames of other types.
func (c *client) frames(stream uint32) {
	if c.IntN(10) == 0 {
		check(c.framer.WriteWindowUpdate(0, 1+c.Uint32N(100)))
	}
	pieces := [][]byte{c.block.Bytes()}
	for c.IntN(3) == 0 {
		last := len(pieces) - 1
		at := c.IntN(len(pieces[last]) + 1)
		pieces = append(pieces[:last], pieces[last][:at], pieces[last][at:])
	}
	headers := http2.HeadersFrameParam{
		StreamID:      stream,
		BlockFragment: pieces[0],
		EndStream:     c.IntN(2) == 0,
		EndHeaders:    len(pieces) == 1,
	}
	if c.IntN(4) == 0 {
		headers.PadLength = uint8(c.IntN(256))
	}
	if c.IntN(4) == 0 {
		headers.Priority = http2.PriorityParam{Weight: uint8(1 + c.IntN(255))}
	}
	check(c.framer.WriteHeaders(headers))
	for i, piece := range pieces[1:] {
		check(c.framer.WriteContinuation(stream, i == len(pieces)-2, piece))
	}
	if !headers.EndStream {
		// Data that looks like a field with an authority.
		check(c.framer.WriteData(stream, true, []byte("\x41\x02a%")))
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
