package simec2

// visibleMiB is the memory that an operating system finds on a machine
// described as having nominal MiB. Firmware and hypervisor keep a share that
// falls with the size: 7.2 % of the first 16 GiB, 5 % of the next 48 GiB, 2 %
// of the rest. Bare metal loses 2 % throughout.
func visibleMiB(nominal int64, bareMetal bool) int64 {
	const gib = 1024
	if bareMetal {
		return nominal - nominal/50
	}
	first := min(nominal, 16*gib)
	second := min(max(nominal-16*gib, 0), 48*gib)
	rest := max(nominal-64*gib, 0)
	return nominal - first*72/1000 - second*5/100 - rest*2/100
}
