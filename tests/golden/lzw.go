package main

import (
	"bytes"
	"compress/lzw"
	"encoding/hex"
	"fmt"
	"os"
)

// Reads standard input, writes it compressed as memberlist does, in hex.
func main() {
	var input, output bytes.Buffer
	input.ReadFrom(os.Stdin)
	writer := lzw.NewWriter(&output, lzw.LSB, 8)
	writer.Write(input.Bytes())
	writer.Close()
	fmt.Println(hex.EncodeToString(output.Bytes()))
}
