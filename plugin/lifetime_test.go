package plugin

import (
	"testing"

	"go.uber.org/goleak"
	basemetrics "k8s.io/component-base/metrics"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/plugin/config"
	"github.com/slipway-dev/slipway/plugin/courier"
	"github.com/slipway-dev/slipway/plugin/courier/launchertest"
)

// TestClose: the plugin ends all it has started, whether the scheduler's informers were
// ever started or not.
func TestClose(t *testing.T) {
	for _, started := range []bool{true, false} {
		w := newWorld(t)
		before := goleak.IgnoreCurrent()
		if started {
			w.factory.Start(w.ctx.Done())
		}
		args := &config.SlipwayArgs{LauncherAddress: "-"}
		config.SetDefaults(args)
		m, err := newMetrics(func(basemetrics.Registerable) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		p := assemble(w.ctx, w.fw, args, clock.RealClock{}, m)
		authority := launchertest.NewAuthority(t)
		c, err := courier.New(courier.Config{
			Address: "127.0.0.1:1", TLS: authority.WriteFiles(t.TempDir()), CallTimeout: 1, QueueLimit: 1,
			Clock: clock.RealClock{}, Sink: p, Observer: m,
		})
		if err != nil {
			t.Fatal(err)
		}
		p.launcher = c
		if err := p.start(w.ctx, c.Run); err != nil {
			t.Fatal(err)
		}
		if started {
			w.factory.WaitForCacheSync(w.ctx.Done())
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		w.stop()
		w.factory.Shutdown()
		goleak.VerifyNone(t, before)
	}
}
