package ec2

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

const (
	sweepEvery = time.Hour
	// unusedFor is how long a launch template or an instance profile must not have been used
	// before it is removed: longer than a template is remembered to exist.
	unusedFor = templateMaxAge + time.Hour
)

// lastUse knows when what this process has made or come upon was last used, by name.
type lastUse struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (l *lastUse) note(name string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == nil {
		l.at = map[string]time.Time{}
	}
	l.at[name] = now
}

// unused tells whether the thing was not used for long enough. One that is seen for the first
// time may have been used just now, by a process before this one.
func (l *lastUse) unused(name string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, known := l.at[name]
	if !known {
		if l.at == nil {
			l.at = map[string]time.Time{}
		}
		l.at[name] = now
	}
	return known && now.Sub(at) >= unusedFor
}

func (l *lastUse) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.at, name)
}

// Run removes launch templates and instance profiles of this cluster that are no longer used,
// until the context ends. One process at a time must run it.
func (p *Provider) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := p.Sweep(ctx); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Unused launch templates or instance profiles are left")
		}
		_ = sleep(ctx, p.cfg.Clock, sweepEvery)
	}
	return nil
}

// Sweep removes what was not used for a day.
func (p *Provider) Sweep(ctx context.Context) error {
	return errors.Join(p.sweepTemplates(ctx), p.sweepProfiles(ctx))
}

func (p *Provider) sweepTemplates(ctx context.Context) error {
	pages := ec2.NewDescribeLaunchTemplatesPaginator(p.ec2, &ec2.DescribeLaunchTemplatesInput{
		Filters: []types.Filter{filter("tag:"+v1alpha1.TagCluster, p.cfg.Cluster.Name)}, MaxResults: aws.Int32(200),
	})
	var unused []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list launch templates: %w", err)
		}
		for _, t := range page.LaunchTemplates {
			if name := aws.ToString(t.LaunchTemplateName); p.use.unused(name, p.cfg.Clock.Now()) {
				unused = append(unused, name)
			}
		}
	}
	for _, name := range unused {
		p.templates.forget(name) // before: who needs it from here on makes it anew
		_, err := p.ec2.DeleteLaunchTemplate(ctx, &ec2.DeleteLaunchTemplateInput{LaunchTemplateName: aws.String(name)})
		if err != nil && !errors.Is(err, cloud.ErrNotFound) {
			return fmt.Errorf("delete launch template %s: %w", name, err)
		}
		p.use.forget(name)
		klog.FromContext(ctx).Info("Removed a launch template that was not used for a day", "launchTemplate", name)
	}
	return nil
}

func (p *Provider) sweepProfiles(ctx context.Context) error {
	known, err := p.listProfiles(ctx)
	if errors.Is(err, cloud.ErrDenied) {
		return nil // who may not list them has made none
	}
	if err != nil {
		return fmt.Errorf("list instance profiles: %w", err)
	}
	for _, i := range known {
		name := aws.ToString(i.InstanceProfileName)
		if !p.use.unused(name, p.cfg.Clock.Now()) {
			continue
		}
		switch gone, err := p.deleteProfile(ctx, i); {
		case err != nil:
			return fmt.Errorf("delete instance profile %s: %w", name, err)
		case gone:
			p.use.forget(name)
			klog.FromContext(ctx).Info("Removed an instance profile that was not used for a day", "instanceProfile", name)
		}
	}
	return nil
}
