package crew_test

import (
	"sync/atomic"
	"testing"

	"provery/prover/crew"
)

func TestWaitWaitsForAll(t *testing.T) {
	var all crew.Crew
	var done atomic.Int64
	for range 100 {
		all.Go(func() { done.Add(1) })
	}
	all.Wait()
	if done.Load() != 100 {
		t.Errorf("%d of 100 had ended", done.Load())
	}
}

func TestAPanicIsThatOfWhoeverWaitsAndStopsNobody(t *testing.T) {
	var all crew.Crew
	var done atomic.Int64
	start := make(chan struct{})
	for i := range 10 {
		all.Go(func() {
			<-start
			if i == 3 {
				panic("three")
			}
			done.Add(1)
		})
	}
	defer func() {
		if r := recover(); r != "three" || done.Load() != 9 {
			t.Errorf("got %v, %d others had ended", r, done.Load())
		}
	}()
	close(start)
	all.Wait()
	t.Error("nobody panicked")
}

func TestOfSeveralPanicsTheFirstIsPassedOn(t *testing.T) {
	var all crew.Crew
	for what := range 3 {
		all.Go(func() { panic(what) })
		func() {
			defer func() {
				if r := recover(); r != 0 {
					t.Errorf("got %v", r)
				}
			}()
			all.Wait()
		}()
	}
}
