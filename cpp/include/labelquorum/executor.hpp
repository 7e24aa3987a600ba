// How every kernel runs: threads, interruption, progress and memory limits, in one place.
//
// A kernel is given an Executor and cuts its work into blocks. Worker threads take blocks from a
// counter; the calling thread waits, polls `Hooks::poll` about 20 times a second, reports progress,
// and rethrows the first exception once all workers have ended. So a kernel reads as if serial, and
// nothing but this file starts a thread. Workers live for one call of `run`: nothing survives a
// call, so forking between calls is safe. A `run` inside a worker runs serially on that worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace labelquorum {

// Work that would exceed the stated limit of a kernel. The message says how much and what to
// change.
struct WorkLimitError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// More memory wanted than the machine (or the cgroup) has left. The message says both numbers.
struct MemoryLimitError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// What the caller may watch. Both are called on the calling thread only, never from a worker.
struct Hooks {
    std::function<void()> poll;  // throws to interrupt; may be empty
    std::function<void(std::string_view stage, double fraction)> progress;  // fraction in [0, 1]
};

// Threads that a call may use: min of OMP_NUM_THREADS (where set to a number), CPU affinity and
// cgroup CPU quota (rounded up). At least 1.
int default_n_threads();

// The same without OMP_NUM_THREADS.
int available_n_threads();

// Bytes that can still be taken: min of MemAvailable and what the cgroup leaves. Where the system
// does not tell, the largest size_t.
std::size_t available_memory();

class Executor {
public:
    // n_threads >= 1, or 0 for default_n_threads().
    explicit Executor(int n_threads = 0, Hooks hooks = {});

    int n_threads() const { return n_threads_; }

    // The same for a part of the work whose progress nobody wants to see.
    Executor without_progress() const { return Executor(n_threads_, {hooks_.poll, {}}); }

    // Calls body(block, worker) once for every block in [0, n_blocks), in increasing order per
    // worker; worker is in [0, n_workers(n_blocks)). Returns when all are done. If the body or a
    // hook throws, no new block is started, all workers are joined, and the first exception is
    // rethrown here.
    void run(std::size_t n_blocks,
             const std::function<void(std::size_t block, int worker)>& body) const;

    // The number of workers that run(n_blocks, ...) uses.
    int n_workers(std::size_t n_blocks) const;

    // The same over [0, n_items) in blocks of `grain` items: body(begin, end, worker).
    void run_ranges(
        std::size_t n_items, std::size_t grain,
        const std::function<void(std::size_t begin, std::size_t end, int worker)>& body) const;

    // For serial stretches: polls when 50 ms have passed since the last time. Throws what poll
    // throws. From a worker it only throws when the run it is part of has been stopped.
    void checkpoint() const;

    // Names the stage that run() reports its progress under, as the share [begin, end] of the whole
    // call. Not reported when there is no progress hook.
    void stage(std::string_view name, double begin = 0.0, double end = 1.0) const;

    // Refuses (MemoryLimitError) when `bytes` more cannot be had; `purpose` completes the sentence
    // "... bytes are needed for PURPOSE". Requests below 64 MiB are granted without asking.
    void require_memory(std::size_t bytes, std::string_view purpose) const;

private:
    void poll_if_due() const;
    void report(double fraction) const;  // of the current stage

    int n_threads_;
    Hooks hooks_;
    // Touched on the calling thread only.
    mutable std::int64_t last_poll_ns_ = 0;
    mutable std::string stage_;
    mutable double stage_begin_ = 0.0;
    mutable double stage_end_ = 1.0;
    mutable std::string reported_stage_;
    mutable double reported_ = 0.0;
    mutable std::int64_t last_report_ns_ = 0;
};

}  // namespace labelquorum
