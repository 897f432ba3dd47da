package transfer

import (
	"net/http"
	"time"
)

// patience is how long a reader may take nothing of an answer.
const patience = 2 * time.Minute

// Bounded ends the answers whose readers take nothing for a while, so that those who stand
// still do not keep the places of others.
func Bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := bounded{w, http.NewResponseController(w)}
		// The connection may be used again, by a handler that sets no deadline.
		defer func() { _ = b.control.SetWriteDeadline(time.Time{}) }()
		h.ServeHTTP(b, r)
	})
}

type bounded struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write implements http.ResponseWriter.
func (b bounded) Write(p []byte) (int, error) {
	// What has no deadlines is no connection.
	_ = b.control.SetWriteDeadline(time.Now().Add(patience))
	return b.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find the connection.
func (b bounded) Unwrap() http.ResponseWriter { return b.ResponseWriter }
