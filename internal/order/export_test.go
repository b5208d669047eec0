package order

// Take and Explain are the decoder's two ways, for the tests that hold them against each other.
func (d *Decoder) Take(data []byte) (Order, bool)     { return d.take(data) }
func (d *Decoder) Explain(data []byte) (Order, error) { return d.explain(data) }
