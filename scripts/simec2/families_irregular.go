package simec2

// burstable are the T families: memory doubles with the size, the price follows
// the memory, and the interfaces follow neither.
func burstable() []InstanceType {
	sizes := []struct {
		name      string
		vcpu      int
		mib       int64
		enis, ips int
	}{
		{"nano", 2, 512, 2, 2},
		{"micro", 2, 1 << 10, 2, 2},
		{"small", 2, 2 << 10, 3, 4},
		{"medium", 2, 4 << 10, 3, 6},
		{"large", 2, 8 << 10, 3, 12},
		{"xlarge", 4, 16 << 10, 4, 15},
		{"2xlarge", 8, 32 << 10, 4, 15},
	}
	kinds := []struct {
		name, arch string
		usdPerGiB  float64
	}{
		{"t3", "x86_64", 0.0104},
		{"t3a", "x86_64", 0.0094},
		{"t4g", "arm64", 0.0084},
	}
	var out []InstanceType
	for _, k := range kinds {
		for _, s := range sizes {
			if k.name == "t3a" && s.name == "small" {
				s.enis = 2 // the one size in which t3a differs
			}
			out = append(out, InstanceType{
				Name: k.name + "." + s.name, Arch: k.arch, VCPU: s.vcpu, MemoryMiB: s.mib,
				ENIs: s.enis, IPv4PerENI: s.ips, Hypervisor: "nitro", Burstable: true, CurrentGen: true,
				OnDemand: roundUSD(k.usdPerGiB * float64(s.mib) / 1024),
			})
		}
	}
	return out
}

// accelerated are the GPU families; no figure but the memory of the smaller
// ones follows the size.
func accelerated() []InstanceType {
	type row struct {
		size      string
		vcpu      int
		gib       int64
		enis, ips int
		gpus      int
		localGB   int64
		usd       float64
	}
	groups := []struct {
		family, arch, gpu string
		gpuGiB            int64
		legacy            bool
		rows              []row
	}{
		{"g4dn", "x86_64", "NVIDIA T4", 16, false, []row{
			{"xlarge", 4, 16, 3, 10, 1, 125, 0.526},
			{"2xlarge", 8, 32, 3, 10, 1, 225, 0.752},
			{"4xlarge", 16, 64, 3, 10, 1, 225, 1.204},
			{"8xlarge", 32, 128, 4, 15, 1, 900, 2.176},
			{"12xlarge", 48, 192, 8, 30, 4, 900, 3.912},
			{"16xlarge", 64, 256, 4, 15, 1, 900, 4.352},
			{"metal", 96, 384, 15, 50, 8, 1800, 7.824},
		}},
		{"g5", "x86_64", "NVIDIA A10G", 24, true, []row{
			{"xlarge", 4, 16, 4, 15, 1, 250, 1.006},
			{"2xlarge", 8, 32, 4, 15, 1, 450, 1.212},
			{"4xlarge", 16, 64, 8, 30, 1, 600, 1.624},
			{"8xlarge", 32, 128, 8, 30, 1, 900, 2.448},
			{"12xlarge", 48, 192, 15, 50, 4, 3800, 5.672},
			{"16xlarge", 64, 256, 8, 30, 1, 1900, 4.096},
			{"24xlarge", 96, 384, 15, 50, 4, 3800, 8.144},
			{"48xlarge", 192, 768, 7, 50, 8, 7600, 16.288},
		}},
		{"g5g", "arm64", "NVIDIA T4g", 16, false, []row{
			{"xlarge", 4, 8, 4, 15, 1, 0, 0.42},
			{"2xlarge", 8, 16, 4, 15, 1, 0, 0.556},
			{"4xlarge", 16, 32, 8, 30, 1, 0, 0.828},
			{"8xlarge", 32, 64, 8, 30, 1, 0, 1.372},
			{"16xlarge", 64, 128, 15, 50, 2, 0, 2.744},
		}},
		{"g6", "x86_64", "NVIDIA L4", 24, false, []row{
			{"xlarge", 4, 16, 4, 15, 1, 250, 0.8048},
			{"2xlarge", 8, 32, 4, 15, 1, 450, 0.9776},
			{"4xlarge", 16, 64, 8, 30, 1, 600, 1.3232},
			{"8xlarge", 32, 128, 8, 30, 1, 900, 2.0144},
			{"12xlarge", 48, 192, 8, 30, 4, 3760, 4.6016},
			{"16xlarge", 64, 256, 15, 50, 1, 1880, 3.3968},
			{"24xlarge", 96, 384, 15, 50, 4, 3760, 6.6752},
			{"48xlarge", 192, 768, 15, 50, 8, 7520, 13.3504},
		}},
		{"p3dn", "x86_64", "NVIDIA V100", 32, false, []row{{"24xlarge", 96, 768, 15, 50, 8, 1800, 31.212}}},
		{"p4d", "x86_64", "NVIDIA A100", 40, false, []row{{"24xlarge", 96, 1152, 15, 50, 8, 8000, 21.957642}}},
		{"p5", "x86_64", "NVIDIA H100", 80, false, []row{{"48xlarge", 192, 2048, 2, 50, 8, 30400, 55.04}}},
	}
	// Of the families with several network cards: how many, each of which takes an EFA.
	cards := map[string]int{"p4d": 4, "p5": 32}
	var out []InstanceType
	for _, g := range groups {
		for _, r := range g.rows {
			t := InstanceType{
				Name: g.family + "." + r.size, Arch: g.arch, VCPU: r.vcpu, MemoryMiB: r.gib << 10,
				ENIs: r.enis, IPv4PerENI: r.ips, GPUs: r.gpus, GPU: g.gpu, GPUMiB: g.gpuGiB << 10,
				LocalGB: r.localGB, Hypervisor: "nitro", BareMetal: r.size == "metal", CurrentGen: !g.legacy,
				OnDemand: r.usd, NetworkCards: cards[g.family], EFAs: cards[g.family],
			}
			if t.BareMetal {
				t.Hypervisor = ""
			}
			out = append(out, t)
		}
	}
	return out
}
