// How every kernel runs: threads, interruption, progress and memory limits, in one place.
//
// A kernel gets an Executor and cuts its work into blocks. Worker threads take blocks from a
// counter. The calling thread waits, calls `Hooks::poll` about 20 times a second, reports progress,
// and rethrows the first exception once all workers have ended. Where the system has no room for
// more threads, fewer do the work, or the calling thread alone. So kernels read as if they were
// serial, and only this file starts threads. Workers live for one call of `run`, so forking between
// calls is safe. A `run` inside a worker runs serially on that worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace labelquorum {

// The work would exceed a kernel's limit. The message says by how much and what to change.
struct WorkLimitError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The machine (or the cgroup) has less memory left than needed. The message gives both numbers.
struct MemoryLimitError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Called on the calling thread only, never from a worker.
struct Hooks {
    std::function<void()> poll;  // throws to interrupt; may be empty
    std::function<void(std::string_view stage, double fraction)> progress;  // fraction in [0, 1]
};

// The number of threads that a call may use: the minimum of OMP_NUM_THREADS (if it is a number),
// the CPU affinity and the cgroup's CPU quota (rounded up). At least 1.
int default_n_threads();

// The same without OMP_NUM_THREADS.
int available_n_threads();

// Bytes that can still be allocated: the minimum of MemAvailable, what the cgroup leaves, and what
// the limit on the address space (ulimit -v) leaves. If the system does not say, the largest
// size_t.
std::size_t available_memory();

class Executor {
public:
    // n_threads >= 1, or 0 for default_n_threads().
    explicit Executor(int n_threads = 0, Hooks hooks = {});

    int n_threads() const { return n_threads_; }

    // The same, for a part of the work that does not report progress.
    Executor without_progress() const { return Executor(n_threads_, {hooks_.poll, {}}); }

    // Calls body(block, worker) once for every block in [0, n_blocks), in increasing order per
    // worker, where worker is in [0, n_workers(n_blocks)). Returns when all blocks are done. If the
    // body or a hook throws, no new block is started, all workers are joined, and the first
    // exception is rethrown here.
    void run(std::size_t n_blocks,
             const std::function<void(std::size_t block, int worker)>& body) const;

    // The number of workers that run(n_blocks, ...) uses.
    int n_workers(std::size_t n_blocks) const;

    // Calls body(begin, end, worker) for ranges of `grain` items that cover [0, n_items).
    void run_ranges(
        std::size_t n_items, std::size_t grain,
        const std::function<void(std::size_t begin, std::size_t end, int worker)>& body) const;

    // For long serial work: calls `poll` if 50 ms have passed since the last call. Called from a
    // worker, it only throws if the run that the worker is part of has been stopped.
    void checkpoint() const;

    // Names the stage whose progress run() reports from now on. The stage makes up the share
    // [begin, end] of the whole call.
    void stage(std::string_view name, double begin = 0.0, double end = 1.0) const;

    // Throws MemoryLimitError if there is not enough memory for `bytes` more. `purpose` completes
    // "... bytes are needed for PURPOSE". Requests below 64 MiB are not checked.
    void require_memory(std::size_t bytes, std::string_view purpose) const;

private:
    void poll_if_due() const;
    void report(double fraction) const;  // of the current stage

    int n_threads_;
    Hooks hooks_;
    // Used on the calling thread only.
    mutable std::int64_t last_poll_ns_ = 0;
    mutable std::string stage_;
    mutable double stage_begin_ = 0.0;
    mutable double stage_end_ = 1.0;
    mutable std::string reported_stage_;
    mutable double reported_ = 0.0;
    mutable std::int64_t last_report_ns_ = 0;
};

}  // namespace labelquorum
