package parallel

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// Each calls work for 0..n-1 from as many goroutines as there are cores, each taking the
// next number, and returns when all of them have ended: with the first error, or the
// context's. After an error no further number is taken.
func Each(ctx context.Context, n int, work func(i int) error) error {
	next := make(chan int)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(next)
		for i := range n {
			select {
			case next <- i:
			case <-ctx.Done():
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	for range min(n, runtime.GOMAXPROCS(0)) {
		g.Go(func() error {
			for i := range next {
				if err := work(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
