package simec2

// families are the general, compute, memory and storage families whose members
// follow a pattern. Columns: name, architecture, GiB and USD per vCPU, sizes,
// network interfaces, local disks, previous generation.
//
// The columns were fitted to the published facts of each type as compiled by
// two Apache-2.0 projects, getmoto/moto (instance types) and
// aws/karpenter-provider-aws (us-east-1 prices); sizes that break their
// family's pattern were left out. TestCatalogueFigures holds the expansion
// against a table of the same origin: it finds slips here, not errors there.
func families() []family {
	const x86, arm = "x86_64", "arm64"
	// Most families up to the seventh generation.
	classic := eniTable{{1, 2, 4}, {2, 3, 10}, {12, 4, 15}, {60, 8, 30}, {1024, 15, 50}}
	// The high-frequency families step up at 12 and at 48 vCPUs.
	classicZ := eniTable{{1, 2, 4}, {2, 3, 10}, {8, 4, 15}, {47, 8, 30}, {1024, 15, 50}}
	gen8i := eniTable{{2, 3, 20}, {8, 4, 30}, {16, 8, 50}, {32, 10, 50}, {48, 12, 50}, {96, 16, 64}, {1024, 24, 64}}
	gen8a := eniTable{{1, 2, 4}, {2, 3, 20}, {4, 4, 20}, {8, 4, 40}, {16, 8, 40}, {32, 10, 40}, {48, 12, 64}, {96, 16, 64}, {1024, 24, 64}}
	gen8n := eniTable{{1, 2, 4}, {2, 3, 10}, {8, 4, 15}, {16, 8, 30}, {32, 10, 30}, {48, 12, 30}, {64, 16, 50}, {96, 24, 50}, {1024, 12, 50}}

	return []family{
		// Compute: 2 GiB a vCPU.
		{"c5", x86, 2, 0.0425, "large xlarge 2xlarge 4xlarge 9xlarge 12xlarge 18xlarge 24xlarge metal:96", classic, noDisks, true},
		{"c5a", x86, 2, 0.0385, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge", classic, noDisks, false},
		{"c5ad", x86, 2, 0.043, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge", classic, perVCPU(37.5), false},
		{"c5d", x86, 2, 0.048, "large xlarge 2xlarge 4xlarge 9xlarge 18xlarge", classic, perVCPU(25), false},
		{"c6a", x86, 2, 0.03825, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge metal:192", classic, noDisks, false},
		{"c6g", arm, 2, 0.034, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge", classic, noDisks, false},
		{"c6gd", arm, 2, 0.0384, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge", classic, disksOf59, false},
		{"c6i", x86, 2, 0.0425, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge metal:128", classic, noDisks, false},
		{"c6id", x86, 2, 0.0504, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge metal:128", classic, disksOf59, false},
		{"c6in", x86, 2, 0.0567, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge", classic, noDisks, false},
		{"c7a", x86, 2, 0.05132, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge metal-48xl:192", classic, noDisks, false},
		{"c7g", arm, 2, 0.03625, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge metal:64", classic, noDisks, false},
		{"c7gd", arm, 2, 0.045359, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge metal:64", classic, disksOf59, false},
		{"c7gn", arm, 2, 0.0624, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge metal:64", classic, noDisks, false},
		{"c7i", x86, 2, 0.044625, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-48xl:192", classic, noDisks, false},
		{"c7i-flex", x86, 2, 0.042394, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge", classic, noDisks, false},
		{"c8a", x86, 2, 0.053885, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-48xl:192", gen8a, noDisks, false},
		{"c8g", arm, 2, 0.03988, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-48xl:192", classic, noDisks, false},
		{"c8gd", arm, 2, 0.04899, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-48xl:192", classic, disksOf59, false},
		{"c8gn", arm, 2, 0.05925, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-48xl:192", gen8n, noDisks, false},
		{"c8i", x86, 2, 0.046855, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge 96xlarge metal-96xl:384", gen8i, noDisks, false},
		{"c8i-flex", x86, 2, 0.04451, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge", gen8i, noDisks, false},
		// General purpose: 4 GiB a vCPU.
		{"m5", x86, 4, 0.048, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge metal:96", classic, noDisks, true},
		{"m5a", x86, 4, 0.043, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge", classic, noDisks, false},
		{"m5ad", x86, 4, 0.0515, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge", classic, perVCPU(37.5), false},
		{"m5d", x86, 4, 0.0565, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge metal:96", classic, perVCPU(37.5), false},
		{"m5dn", x86, 4, 0.068, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge metal:96", classic, perVCPU(37.5), false},
		{"m5n", x86, 4, 0.0595, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge metal:96", classic, noDisks, false},
		{"m5zn", x86, 4, 0.082585, "large xlarge 2xlarge 3xlarge 6xlarge 12xlarge", classicZ, noDisks, false},
		{"m6a", x86, 4, 0.0432, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge metal:192", classic, noDisks, false},
		{"m6g", arm, 4, 0.0385, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge", classic, noDisks, false},
		{"m6gd", arm, 4, 0.0452, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge", classic, disksOf59, false},
		{"m6i", x86, 4, 0.048, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge metal:128", classic, noDisks, true},
		{"m6id", x86, 4, 0.059325, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge metal:128", classic, disksOf59, false},
		{"m6idn", x86, 4, 0.07956, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge", classic, disksOf59, false},
		{"m6in", x86, 4, 0.069615, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge", classic, noDisks, false},
		{"m7a", x86, 4, 0.05796, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge metal-48xl:192", classic, noDisks, false},
		{"m7g", arm, 4, 0.0408, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge metal:64", classic, noDisks, false},
		{"m7gd", arm, 4, 0.053392, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge metal:64", classic, disksOf59, false},
		{"m7i", x86, 4, 0.0504, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-48xl:192", classic, noDisks, false},
		{"m7i-flex", x86, 4, 0.04788, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge", classic, noDisks, false},
		{"m8a", x86, 4, 0.06086, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-48xl:192", gen8a, noDisks, false},
		{"m8g", arm, 4, 0.04488, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-48xl:192", classic, noDisks, false},
		{"m8gd", arm, 4, 0.05766, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-48xl:192", classic, disksOf59, false},
		{"m8i", x86, 4, 0.05292, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge metal-48xl:192 96xlarge metal-96xl:384", gen8i, noDisks, false},
		{"m8i-flex", x86, 4, 0.050275, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge", gen8i, noDisks, false},
		// Memory: 8 GiB a vCPU.
		{"r5", x86, 8, 0.063, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge metal:96", classic, noDisks, true},
		{"r5a", x86, 8, 0.0565, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge", classic, noDisks, false},
		{"r5ad", x86, 8, 0.0655, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge", classic, perVCPU(37.5), false},
		{"r5b", x86, 8, 0.0745, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge", classic, noDisks, false},
		{"r5d", x86, 8, 0.072, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge metal:96", classic, perVCPU(37.5), false},
		{"r5dn", x86, 8, 0.0835, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge metal:96", classic, perVCPU(37.5), false},
		{"r5n", x86, 8, 0.0745, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge metal:96", classic, noDisks, false},
		{"r6a", x86, 8, 0.0567, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge metal:192", classic, noDisks, false},
		{"r6g", arm, 8, 0.0504, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge", classic, noDisks, false},
		{"r6gd", arm, 8, 0.0576, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge", classic, disksOf59, false},
		{"r6i", x86, 8, 0.063, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge metal:128", classic, noDisks, true},
		{"r6id", x86, 8, 0.0756, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge metal:128", classic, disksOf59, false},
		{"r6idn", x86, 8, 0.097695, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge", classic, disksOf59, false},
		{"r6in", x86, 8, 0.087165, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge", classic, noDisks, false},
		{"r7a", x86, 8, 0.076075, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge metal-48xl:192", classic, noDisks, false},
		{"r7g", arm, 8, 0.05355, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge metal:64", classic, noDisks, false},
		{"r7gd", arm, 8, 0.06804, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge metal:64", classic, disksOf59, false},
		{"r7i", x86, 8, 0.06615, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-48xl:192", classic, noDisks, false},
		{"r7iz", x86, 8, 0.093, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 32xlarge", classic, noDisks, false},
		{"r8a", x86, 8, 0.07988, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-48xl:192", gen8a, noDisks, false},
		{"r8g", arm, 8, 0.05891, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-48xl:192", classic, noDisks, false},
		{"r8gd", arm, 8, 0.07348, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-48xl:192", classic, disksOf59, false},
		{"r8i", x86, 8, 0.06946, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge 96xlarge metal-96xl:384", gen8i, noDisks, false},
		{"r8i-flex", x86, 8, 0.065985, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge", gen8i, noDisks, false},
		// Storage, large memory, high frequency, inference.
		{"x2gd", arm, 16, 0.0835, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge", classic, perVCPU(59.375), false},
		{"x8g", arm, 16, 0.0977, "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-48xl:192", classic, noDisks, false},
		{"x2iedn", x86, 32, 0.20841, "xlarge 2xlarge 4xlarge 8xlarge 16xlarge 24xlarge 32xlarge metal:128", classic, perVCPU(29.6875), false},
		{"i3en", x86, 8, 0.113, "large xlarge 2xlarge 3xlarge 6xlarge 12xlarge 24xlarge metal:96", classic, perVCPU(625), false},
		{"i4i", x86, 8, 0.0858, "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 32xlarge metal:128", classic, perVCPU(234.375), false},
		{"i7ie", x86, 8, 0.12995, "large xlarge 2xlarge 3xlarge 6xlarge 18xlarge 24xlarge 48xlarge", classic, perVCPU(625), false},
		{"i8g", arm, 8, 0.0858, "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge", classic, perVCPU(234.375), false},
		{"z1d", x86, 8, 0.093, "large xlarge 2xlarge 3xlarge 6xlarge 12xlarge metal:48", classicZ, perVCPU(37.5), false},
		{"inf2", x86, 4, 0.06761, "24xlarge 48xlarge", classic, noDisks, false},
	}
}
