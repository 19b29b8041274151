package webpush

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The example of RFC 8291 §5.
func TestExample(t *testing.T) {
	sender, err := ecdh.P256().NewPrivateKey(decode(t, "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := ecdh.P256().NewPublicKey(decode(t, "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := encrypt([]byte("When I grow up, I want to be a watermelon"), receiver, decode(t, "BTBZMqHH6r4Tts7J_aSIgg"), sender, decode(t, "DGv6ra1nlYgDCS1FRnbzlw"))
	want := "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
	if err != nil || base64.RawURLEncoding.EncodeToString(got) != want {
		t.Errorf("%s, %v", base64.RawURLEncoding.EncodeToString(got), err)
	}
}

func TestRefused(t *testing.T) {
	if _, err := Encrypt(nil, Keys{[]byte{4}, make([]byte, 16)}, rand.Reader); !errors.Is(err, ErrKeys) {
		t.Error(err)
	}
	if _, err := Encrypt(make([]byte, MaxPayload+1), Keys{}, rand.Reader); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	k, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Encrypt(make([]byte, MaxPayload), Keys{k.PublicKey().Bytes(), make([]byte, 16)}, rand.Reader)
	if err != nil || len(b) > 4096 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// The signature of an Authorization is right for what it says.
func TestAuthorization(t *testing.T) {
	key, err := NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Authorization(key, "https://push.example.net/x/y?z", "mailto:postmaster@example.org", time.Unix(1453523768, 0), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rest, ok := strings.CutPrefix(text, "vapid t=")
	token, public, ok2 := strings.Cut(rest, ", k=")
	parts := strings.Split(token, ".")
	if !ok || !ok2 || len(parts) != 3 {
		t.Fatal(text)
	}
	if want, err := PublicKey(key); err != nil || public != want {
		t.Error(public, want, err)
	}
	var claims map[string]any
	if err := json.Unmarshal(decode(t, parts[1]), &claims); err != nil || claims["aud"] != "https://push.example.net" || claims["exp"] != 1453523768.0 {
		t.Error(claims, err)
	}
	hash := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	sig := decode(t, parts[2])
	if !ecdsa.Verify(&key.PublicKey, hash[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) || bytes.Equal(sig[:32], sig[32:]) {
		t.Error("the signature does not verify")
	}
}
