//go:build tools

// Package flanneld names Flannel's daemon as something to build, so that go.mod and go.sum hold all it needs.
package flanneld

import _ "github.com/flannel-io/flannel"
