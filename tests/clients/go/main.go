// franz-go as a foreign client; see ../README.md for the command line.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	flags     = flag.NewFlagSet("client", flag.ExitOnError)
	bootstrap = flags.String("bootstrap", "", "")
	topic     = flags.String("topic", "", "")
	codec     = flags.String("codec", "none", "")
	file      = flags.String("file", "", "")
	group     = flags.String("group", "", "")
	rate      = flags.Int("rate", 0, "")
)

func produce() error {
	codecs := map[string]kgo.CompressionCodec{
		"none":   kgo.NoCompression(),
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(*bootstrap),
		kgo.DefaultProduceTopic(*topic),
		kgo.ProducerBatchCompression(codecs[*codec]),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(20*time.Millisecond),
		kgo.RecordDeliveryTimeout(60*time.Second),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	input, err := os.Open(*file)
	if err != nil {
		return err
	}
	defer input.Close()
	var mutex sync.Mutex
	var failed error
	lines := bufio.NewScanner(input)
	lines.Buffer(make([]byte, 1<<20), 64<<20)
	count := 0
	for lines.Scan() {
		key, value, _ := bytes.Cut(bytes.Clone(lines.Bytes()), []byte{'\t'})
		client.Produce(context.Background(), &kgo.Record{Key: key, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				mutex.Lock()
				failed = err
				mutex.Unlock()
			}
		})
		count++
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if err := client.Flush(context.Background()); err != nil {
		return err
	}
	mutex.Lock()
	defer mutex.Unlock()
	if failed == nil {
		fmt.Println("SENT", count)
	}
	return failed
}

func consume() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(*bootstrap),
		kgo.ConsumerGroup(*group),
		kgo.ConsumeTopics(strings.Split(*topic, ",")...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(500*time.Millisecond),
		kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(500*time.Millisecond),
		kgo.BlockRebalanceOnPoll(),
	)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, 100)
		for _, failure := range fetches.Errors() {
			if !errors.Is(failure.Err, context.Canceled) {
				return fmt.Errorf("%s-%d: %w", failure.Topic, failure.Partition, failure.Err)
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			fmt.Fprintf(out, "REC\t%s\t%d\t%d\t%s\t%x\n", r.Topic, r.Partition, r.Offset, r.Key, sha1.Sum(r.Value))
		})
		if err := out.Flush(); err != nil {
			return err
		}
		client.MarkCommitRecords(fetches.Records()...)
		if *rate > 0 {
			time.Sleep(time.Second * time.Duration(fetches.NumRecords()) / time.Duration(*rate))
		}
		client.AllowRebalance()
	}
	if err := client.CommitMarkedOffsets(context.Background()); err != nil {
		return err
	}
	client.Close()
	return nil
}

func main() {
	if err := flags.Parse(os.Args[2:]); err != nil {
		log.Fatal(err)
	}
	run := consume
	if os.Args[1] == "produce" {
		run = produce
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
