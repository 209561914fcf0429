package pack

import (
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

const mebi = 1 << 20

// instance is an instance type as the tests know it.
type instance struct {
	name   string
	arch   string
	family string
	vcpu   int64
	memory int64 // bytes
	pods   int64
	gpus   int64
	price  float64
}

// offeringsOf turns instance types into offerings in zones, with what Kubernetes keeps for itself taken off.
func offeringsOf(list []instance, zones, capacityTypes int) (offerings []Offering, kinds []kindOf) {
	index := map[kindOf]int{}
	for i, t := range list {
		for z := range zones {
			for c := range capacityTypes {
				kind := kindOf{t.arch, t.family, z, c}
				k, ok := index[kind]
				if !ok {
					k = len(kinds)
					index[kind] = k
					kinds = append(kinds, kind)
				}
				cpu := 1000*t.vcpu - 110 - min(2*t.vcpu, 190)
				memory := int64(0.925*float64(t.memory)) - 11*mebi*t.pods - 355*mebi
				price := t.price
				if c == 1 {
					price *= 0.3 + 0.05*float64((i*7+z)%5)
				}
				offerings = append(offerings, Offering{
					Capacity: Vector{cpu, memory, t.pods, t.gpus}, Price: price, Kind: k, Type: i,
				})
			}
		}
	}
	return offerings, kinds
}

type kindOf struct {
	arch, family string
	zone, ct     int
}

// syntheticTypes makes a list like EC2's: families × generations × architectures × sizes.
func syntheticTypes(r *rand.Rand) []instance {
	var list []instance
	sizes := []int64{1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192}
	for _, family := range []struct {
		name   string
		ratio  int64
		perCPU float64
	}{{"c", 2, 0.0425}, {"m", 4, 0.048}, {"r", 8, 0.063}, {"x", 16, 0.1}, {"i", 8, 0.08}, {"t", 4, 0.0416}} {
		for generation := 5; generation <= 8; generation++ {
			for _, variant := range []string{"", "a", "g", "d", "n"} {
				factor := 1 + 0.03*float64(generation-5) + map[string]float64{"a": -0.1, "g": -0.2, "d": 0.18, "n": 0.25}[variant]
				factor *= 0.98 + 0.04*r.Float64()
				arch := "amd64"
				if variant == "g" {
					arch = "arm64"
				}
				for _, vcpu := range sizes {
					if vcpu == 1 && variant != "g" || family.name == "t" && vcpu > 8 {
						continue
					}
					pods := map[int64]int64{1: 8, 2: 29, 4: 58, 8: 58, 16: 234}[vcpu]
					if vcpu > 16 {
						pods = 234
					}
					name := fmt.Sprintf("%s%d%s", family.name, generation, variant)
					list = append(list, instance{fmt.Sprint(name, ".", vcpu), arch, name, vcpu,
						vcpu * family.ratio << 30, pods, 0, float64(vcpu) * family.perCPU * factor})
				}
			}
		}
	}
	for _, g := range []struct{ vcpu, gpus int64 }{{4, 1}, {8, 1}, {16, 1}, {48, 4}, {96, 8}, {192, 8}} {
		list = append(list, instance{fmt.Sprint("g.", g.vcpu), "amd64", "g", g.vcpu, g.vcpu * 4 << 30, 110, g.gpus,
			0.5*float64(g.gpus) + 0.05*float64(g.vcpu)})
	}
	return list
}

// manySizes makes families of so many sizes each, of equal price a CPU.
func manySizes(sizes int64) []instance {
	var list []instance
	for vcpu := range sizes {
		for _, ratio := range []int64{2, 4, 8} {
			list = append(list, instance{fmt.Sprint(ratio, ".", vcpu+1), "amd64", fmt.Sprint("m", ratio), vcpu + 1,
				(vcpu + 1) * ratio << 30, 110, 0, float64(vcpu+1) * (0.04 + 0.005*float64(ratio))})
		}
	}
	return list
}

// ec2Types reads EC2's real list where it is at hand.
func ec2Types(tb testing.TB) []instance {
	file, err := os.Open("../../../shared/data/ec2-us-east-1.csv")
	if err != nil {
		tb.Skip("the list of EC2 types is not here: ", err)
	}
	defer file.Close()
	records, err := csv.NewReader(file).ReadAll()
	if err != nil {
		tb.Fatal(err)
	}
	var list []instance
	for _, f := range records[1:] {
		number := func(i int) float64 { n, _ := strconv.ParseFloat(f[i], 64); return n }
		if number(13) <= 0 || !strings.Contains(f[12], "on-demand") || strings.Contains(f[0], "metal") || number(11) == 0 {
			continue
		}
		arch := "amd64"
		if strings.Contains(f[1], "arm64") {
			arch = "arm64"
		}
		pods := min(int64(number(4)*(number(5)-1)+2), 250)
		family, _, _ := strings.Cut(f[0], ".")
		list = append(list, instance{f[0], arch, family, int64(number(2)), int64(number(3)) * mebi, pods, int64(number(6)), number(13)})
	}
	return list
}

// mix is a recipe for pods.
type mix struct {
	name string
	// pod returns one request: milli-CPU, MiB, GPUs.
	pod func(r *rand.Rand) (cpu, memory, gpus float64)
	// narrow is the share of shapes that fit some architecture, zones or families only.
	narrow float64
}

func logNormal(r *rand.Rand, median, sigma float64) float64 {
	return median * math.Exp(sigma*r.NormFloat64())
}

var mixes = []mix{
	{"mixed", func(r *rand.Rand) (float64, float64, float64) {
		cpu := logNormal(r, 700, 1)
		return cpu, cpu * logNormal(r, 3.5, 0.7), 0
	}, 0.2},
	{"memory-heavy", func(r *rand.Rand) (float64, float64, float64) {
		cpu := logNormal(r, 500, 0.8)
		return cpu, cpu * logNormal(r, 10, 0.6), 0
	}, 0.1},
	{"cpu-heavy", func(r *rand.Rand) (float64, float64, float64) {
		cpu := logNormal(r, 1500, 0.8)
		return cpu, cpu * logNormal(r, 1, 0.6), 0
	}, 0.1},
	{"bimodal", func(r *rand.Rand) (float64, float64, float64) {
		if r.IntN(2) == 0 {
			return logNormal(r, 3000, 0.4), logNormal(r, 2000, 0.4), 0
		}
		return logNormal(r, 300, 0.4), logNormal(r, 9000, 0.4), 0
	}, 0},
	{"huge-and-tiny", func(r *rand.Rand) (float64, float64, float64) {
		if r.IntN(12) == 0 {
			return logNormal(r, 20000, 0.5), logNormal(r, 80000, 0.6), 0
		}
		return logNormal(r, 100, 0.5), logNormal(r, 256, 0.6), 0
	}, 0},
	{"uniform", func(r *rand.Rand) (float64, float64, float64) {
		return []float64{100, 250, 500, 1000, 1500}[r.IntN(5)], []float64{100, 256, 512, 1024, 2048, 4096}[r.IntN(6)], 0
	}, 0},
	{"equal", func(*rand.Rand) (float64, float64, float64) { return 1000, 3000, 0 }, 0},
	{"near-half", func(r *rand.Rand) (float64, float64, float64) {
		return 1000 * (0.3 + 0.25*r.Float64()) * []float64{8, 16, 32, 64}[r.IntN(4)], 1000 * logNormal(r, 15, 1), 0
	}, 0},
	{"gpu", func(r *rand.Rand) (float64, float64, float64) {
		if r.IntN(8) == 0 {
			return logNormal(r, 6000, 0.4), logNormal(r, 20000, 0.4), []float64{1, 1, 1, 2, 4}[r.IntN(5)]
		}
		return logNormal(r, 700, 0.8), logNormal(r, 2500, 0.9), 0
	}, 0},
	{"many-tiny", func(r *rand.Rand) (float64, float64, float64) { return logNormal(r, 20, 0.5), logNormal(r, 40, 0.6), 0 }, 0.1},
	{"heavy-tailed", func(r *rand.Rand) (float64, float64, float64) {
		cpu := 100 * math.Pow(1-r.Float64(), -1/1.2) // Pareto
		return cpu, cpu * logNormal(r, 4, 0.8), 0
	}, 0.1},
	{"gpu-and-memory", func(r *rand.Rand) (float64, float64, float64) {
		if r.IntN(2) == 0 {
			return logNormal(r, 3000, 0.5), logNormal(r, 16000, 0.5), []float64{1, 1, 2, 3}[r.IntN(4)]
		}
		return logNormal(r, 400, 0.5), logNormal(r, 12000, 0.6), 0
	}, 0},
	{"narrow", func(r *rand.Rand) (float64, float64, float64) {
		cpu := logNormal(r, 600, 0.9)
		return cpu, cpu * logNormal(r, 4, 0.8), 0
	}, 1},
}

// synthesize makes a problem of the mix.
func synthesize(r *rand.Rand, mx mix, list []instance, pods, shapes, zones, capacityTypes int) *Problem {
	p := &Problem{Alternatives: 60}
	var kinds []kindOf
	p.Offerings, kinds = offeringsOf(list, zones, capacityTypes)
	type class struct {
		arch, family string
		zone         int
	}
	classes := []class{{zone: -1}}
	largest := Vector{180_000, 700 << 30}
	for i := range shapes {
		cpu, memory, gpus := mx.pod(r)
		s := Shape{Free: true, Count: pods / shapes, Requests: Vector{
			min(int64(cpu), largest[0]), min(int64(memory)*mebi, largest[1]), 1, int64(gpus)}}
		if i < pods%shapes {
			s.Count++
		}
		if gpus == 0 && r.Float64() < mx.narrow {
			c := class{zone: -1}
			switch r.IntN(4) {
			case 0:
				c.arch = "arm64"
			case 1:
				c.arch = "amd64"
			case 2:
				c.zone = r.IntN(zones)
			case 3:
				c.family = []string{"c", "m", "r"}[r.IntN(3)]
			}
			s.Class = len(classes)
			classes = append(classes, c)
		}
		p.Shapes = append(p.Shapes, s)
	}
	p.Fits = func(c, k int) bool {
		class, kind := classes[c], kinds[k]
		return (class.arch == "" || class.arch == kind.arch) && strings.HasPrefix(kind.family, class.family) &&
			(class.zone < 0 || class.zone == kind.zone)
	}
	return p
}

// fragmented makes a problem as clusters pose it: many shapes of few pods each, of few
// sizes, a fifth of them kept to themselves by zone or host.
func fragmented(r *rand.Rand, list []instance, pods int) *Problem {
	p := &Problem{Alternatives: 60}
	var kinds []kindOf
	p.Offerings, kinds = offeringsOf(list, 3, 1)
	for t := range p.Offerings {
		p.Offerings[t].Capacity = append(p.Offerings[t].Capacity, 1)
	}
	for left := pods; left > 0; {
		s := Shape{Count: min(left, 1+r.IntN(4)), Class: r.IntN(4), Free: true, Requests: Vector{
			[]int64{100, 250, 500, 1000, 1500}[r.IntN(5)], []int64{100, 256, 512, 1024, 2048, 4096}[r.IntN(6)] * mebi, 1, 0, 0}}
		if r.IntN(5) == 0 {
			s.Free, s.Requests[4] = false, 1
		}
		left -= s.Count
		p.Shapes = append(p.Shapes, s)
	}
	p.Fits = func(c, k int) bool { return c == 0 || kinds[k].zone == c-1 }
	return p
}
