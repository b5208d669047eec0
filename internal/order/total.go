package order

import (
	"fmt"
	"strconv"
)

const (
	// decimals is how many decimals a Total keeps.
	decimals = 4
	// integers is how many digits may stand before the point: total < 10^15.
	integers = 15
	// maxTotal is the largest Total: 10^19 - 1 ten-thousandths.
	maxTotal Total = 9_999_999_999_999_999_999
	// maxNumber bounds a number's characters. The longest total without needless zeros has 20.
	maxNumber = 40
	// maxExponent is where exponents are cut, far beyond what any total could have: with at most
	// 40 characters before it nothing comes back into range.
	maxExponent = 100_000
)

const (
	totalNegative = "is negative, wants 0 or more"
	totalTooLarge = "is too large, wants less than 10^15"
)

// Total is an exact amount in ten-thousandths (10^-4) of the currency's unit. It never passes
// through a float. A valid one is below 10^19, which is a total below 10^15.
type Total uint64

// ParseTotal reads a number as JSON writes numbers, exactly and by value: 1.50000 and 1e2 are
// fine, "1.", "+1" and " 1" are not. The error is [Faults] on /total, in the decoder's words.
func ParseTotal(s string) (Total, error) {
	if len(s) > maxNumber {
		return 0, Faults{{Pointer: fieldTotal.pointer(), Detail: numberTooLong(len(s))}}
	}
	sc := scanner{data: []byte(s)}
	if !sc.number() || sc.pos != len(s) {
		return 0, Faults{{Pointer: fieldTotal.pointer(), Detail: quoted(s) + " is not a JSON number"}}
	}
	n := readNumber(sc.data)
	if n.ok() {
		return n.total(), nil
	}
	var c collector
	c.addNumber(n)
	return 0, c.err()
}

// String is the canonical form: no exponent, no trailing zeros, no -0.
func (t Total) String() string { return string(t.Append(nil)) }

// Append appends the canonical form to dst.
func (t Total) Append(dst []byte) []byte {
	const unit = 10_000
	dst = strconv.AppendUint(dst, uint64(t/unit), 10)
	frac := uint64(t % unit)
	if frac == 0 {
		return dst
	}
	dst = append(dst, '.', byte('0'+frac/1000), byte('0'+frac/100%10), byte('0'+frac/10%10), byte('0'+frac%10))
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// number is the value of a JSON number: digits * 10^exp, where digits neither begins nor ends
// with a zero and has count of them. Zero has no digits.
type number struct {
	negative bool
	digits   uint64 // right where count <= 19
	count    int
	exp      int
}

// readNumber takes a token that the scanner has found to be a number of at most 40 characters.
func readNumber(tok []byte) number {
	var n number
	zeros, point := 0, false // zeros: read, but not yet known to be inside the digits
	i := 0
	if tok[0] == '-' {
		n.negative = true
		i++
	}
	for ; i < len(tok); i++ {
		c := tok[i]
		if c == '.' {
			point = true
			continue
		}
		if c == 'e' || c == 'E' {
			break
		}
		if point {
			n.exp--
		}
		if c == '0' {
			if n.count > 0 {
				zeros++
			}
			continue
		}
		for ; zeros > 0; zeros-- {
			n.digits *= 10
			n.count++
		}
		n.digits = n.digits*10 + uint64(c-'0')
		n.count++
	}
	n.exp += zeros
	if i < len(tok) {
		n.exp += readExponent(tok[i+1:])
	}
	if n.count == 0 {
		return number{} // 0, -0.00 and 0e9 are all zero
	}
	return n
}

func readExponent(tok []byte) int {
	negative := tok[0] == '-'
	if tok[0] == '-' || tok[0] == '+' {
		tok = tok[1:]
	}
	e := 0
	for _, c := range tok {
		e = min(e*10+int(c-'0'), maxExponent)
	}
	if negative {
		return -e
	}
	return e
}

func (n number) ok() bool {
	return !n.negative && n.exp >= -decimals && n.count+n.exp <= integers
}

// total is the value of a number that is ok: at most 19 digits, so nothing was cut.
func (n number) total() Total {
	t := n.digits
	if n.count == 0 {
		return 0
	}
	for range n.exp + decimals {
		t *= 10
	}
	return Total(t)
}

// addNumber adds every reason why n is not a total.
func (c *collector) addNumber(n number) {
	pointer := fieldTotal.pointer()
	if n.negative {
		c.add(pointer, totalNegative)
	}
	if n.count+n.exp > integers {
		c.add(pointer, totalTooLarge)
	}
	if places := -n.exp; places > maxExponent/2 {
		c.add(pointer, fmt.Sprintf("has more than %d decimals, at most %d fit", maxExponent/2, decimals))
	} else if places > decimals {
		c.add(pointer, fmt.Sprintf("has %d decimals, at most %d fit", places, decimals))
	}
}

func numberTooLong(n int) string {
	return fmt.Sprintf("is a number of %d characters, at most %d are read", n, maxNumber)
}
