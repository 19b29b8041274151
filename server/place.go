package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"posthouse/admin"
	"posthouse/config"
	"posthouse/internal/s3"
	"posthouse/mail"
	"posthouse/store/engine/local"
)

// secretEnv has the secret of the object store if no file is named.
const secretEnv = "POSTHOUSE_S3_SECRET"

// placeOf reads a directory's path, or s3://bucket/path: where backups and
// standbys may be. Requests to a bucket end with ctx.
func placeOf(ctx context.Context, c config.Config, name string) (local.Place, error) {
	rest, ok := strings.CutPrefix(name, admin.S3Scheme)
	if !ok {
		return local.Place{Dir: name}, nil
	}
	bucket, dir, _ := strings.Cut(rest, "/")
	if c.S3.Endpoint == "" || bucket == "" {
		return local.Place{}, badPlace(name+" needs the section [s3] of the configuration, and the name of a bucket", nil)
	}
	secret := os.Getenv(secretEnv)
	if c.S3.SecretFile != "" {
		b, err := os.ReadFile(c.S3.SecretFile)
		if err != nil {
			return local.Place{}, badPlace("s3.secret_file cannot be read", err)
		}
		secret = string(b)
	}
	if secret = strings.TrimSpace(secret); secret == "" {
		return local.Place{}, badPlace(name+" needs the key's secret, in s3.secret_file or in the environment as "+secretEnv, nil)
	}
	client := &s3.Client{Endpoint: c.S3.Endpoint, Region: c.S3.Region, Bucket: bucket, Hosted: c.S3.Hosted, Key: c.S3.Key, Secret: secret}
	if c.S3.CA != "" {
		pem, err := os.ReadFile(c.S3.CA)
		roots := x509.NewCertPool()
		if err != nil || !roots.AppendCertsFromPEM(pem) {
			return local.Place{}, badPlace("s3.ca has no certificate that can be read", err)
		}
		client.HTTP = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 20 * time.Second,
			IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	}
	return local.Place{FS: local.S3(ctx, client), Dir: "/" + strings.Trim(dir, "/")}, nil
}

func badPlace(text string, err error) error {
	return &mail.Error{Kind: mail.Invalid, Op: "place", Text: text, Err: err}
}

// storeAt is the store in a data directory, or what is like one in a bucket.
func storeAt(ctx context.Context, c config.Config, data string) (local.Place, error) {
	if data == "" {
		return local.Place{}, nil
	}
	p, err := placeOf(ctx, c, data)
	if err != nil {
		return p, err
	}
	if p.FS != nil {
		p.Dir = path.Join(p.Dir, StoreDir)
		return p, nil
	}
	dir, err := filepath.Abs(filepath.Join(p.Dir, StoreDir))
	return local.Place{Dir: cmp.Or(dir, p.Dir)}, err
}
