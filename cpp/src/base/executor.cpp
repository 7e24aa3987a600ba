#include "labelquorum/executor.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <limits>
#include <mutex>
#include <sstream>
#include <system_error>
#include <thread>
#include <vector>

#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace labelquorum {
namespace {

constexpr auto poll_interval = std::chrono::milliseconds(50);
constexpr std::size_t max_unchecked_bytes = std::size_t{64} << 20;
constexpr double unlimited = std::numeric_limits<double>::infinity();
// Address space that must be left after a new thread has taken its stack from it. The C library
// ends the process where a thread finds no memory for its thread-local data.
constexpr double spare_address_space = 16 << 20;

// The stop flag of the run that this thread works for, if any. Nested runs are serial and stop with
// it.
thread_local const std::atomic<bool>* current_stop = nullptr;

// Ends a nested run whose outer run has been stopped. It is never the first exception of a run.
struct Stopped {};

void throw_if_stopped() {
    if (current_stop != nullptr && current_stop->load(std::memory_order_relaxed)) throw Stopped{};
}

std::int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

// The folders of the process's cgroups (v1 and v2), each followed by its parents.
std::vector<std::string> cgroup_folders(const std::string& controller) {
    std::vector<std::string> folders;
    std::ifstream file("/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        std::string names(1, ',');
        names.append(line, first + 1, second - first - 1).push_back(',');
        std::string root = "/sys/fs/cgroup";
        if (names != ",,") {
            const std::string wanted = std::string(1, ',').append(controller).append(1, ',');
            if (names.find(wanted) == std::string::npos) continue;
            root += "/" + controller;
        }
        std::string path = line.substr(second + 1);
        while (true) {
            folders.push_back(root + (path == "/" ? "" : path));
            if (path.empty() || path == "/") break;
            path.erase(path.find_last_of('/'));
        }
    }
    return folders;
}

// The first number in a file, or `otherwise` if there is no file or it says "max".
double read_number(const std::string& path, double otherwise) {
    std::ifstream file(path);
    double value = otherwise;
    return file >> value ? value : otherwise;
}

int cgroup_threads() {
    double threads = std::numeric_limits<double>::infinity();
    for (const std::string& folder : cgroup_folders("cpu")) {
        std::ifstream file(folder + "/cpu.max");
        double quota = 0;
        double period = 0;
        if (file >> quota >> period && period > 0) threads = std::min(threads, quota / period);
        const double old_quota = read_number(folder + "/cpu.cfs_quota_us", -1);
        const double old_period = read_number(folder + "/cpu.cfs_period_us", 0);
        if (old_quota > 0 && old_period > 0) threads = std::min(threads, old_quota / old_period);
    }
    constexpr double most = std::numeric_limits<int>::max();
    return static_cast<int>(std::clamp(threads + 0.999, 1.0, most));
}

double cgroup_memory() {
    double left = std::numeric_limits<double>::infinity();
    for (const std::string& folder : cgroup_folders("memory")) {
        for (const auto& [limit_name, usage_name] :
             {std::pair("/memory.max", "/memory.current"),
              std::pair("/memory.limit_in_bytes", "/memory.usage_in_bytes")}) {
            const double limit = read_number(folder + limit_name, -1);
            const double usage = read_number(folder + usage_name, -1);
            if (limit < 0 || usage < 0) continue;
            double reclaimable = 0;  // page cache that the system gives up when memory is needed
            std::ifstream stat(folder + "/memory.stat");
            std::string key;
            for (double value = 0; stat >> key >> value;) {
                if (key == "inactive_file" || key == "total_inactive_file") reclaimable = value;
            }
            left = std::min(left, std::max(0.0, limit - usage + reclaimable));
        }
    }
    return left;
}

// Bytes of address space that the process may still take (ulimit -v).
double address_space() {
#ifdef __linux__
    rlimit limit{};
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return unlimited;
    const double pages = read_number("/proc/self/statm", 0);
    const auto page_size = static_cast<double>(sysconf(_SC_PAGESIZE));
    return std::max(0.0, static_cast<double>(limit.rlim_cur) - pages * page_size);
#else
    return unlimited;
#endif
}

double stack_size() {
    std::size_t size = 0;
#ifdef __linux__
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return 0;
    pthread_attr_getstacksize(&attributes, &size);
    pthread_attr_destroy(&attributes);
#endif
    return static_cast<double>(size);
}

// Hands out blocks one at a time, keeps the first exception, and tells when workers have ended.
class Run {
public:
    using Body = std::function<void(std::size_t, int)>;

    Run(std::size_t n_blocks, const Body& body) : n_blocks_(n_blocks), body_(body) {}

    // For a thread of its own. It first takes the memory of its thread-local data, and waits.
    void work_when_open(int worker) noexcept {
        current_stop = &stop_;
        static_cast<void>(std::uncaught_exceptions());  // what exceptions need
        {
            std::unique_lock lock(mutex_);
            ++n_waiting_;
            waits_.notify_one();
            opened_.wait(lock, [&] { return is_open_; });
        }
        work(worker);
    }

    // Waits until n threads have taken what they need.
    void wait_for_threads(int n) {
        std::unique_lock lock(mutex_);
        waits_.wait(lock, [&] { return n_waiting_ == n; });
    }

    void open() {
        const std::lock_guard lock(mutex_);
        is_open_ = true;
        opened_.notify_all();
    }

    void work(int worker) noexcept {
        const auto* outer = current_stop;
        current_stop = &stop_;
        try {
            while (!stop_.load(std::memory_order_relaxed)) {
                const std::size_t block = next_.fetch_add(1, std::memory_order_relaxed);
                if (block >= n_blocks_) break;
                body_(block, worker);
                done_.fetch_add(1, std::memory_order_relaxed);
            }
        } catch (...) {
            fail(std::current_exception());
        }
        current_stop = outer;
        const std::lock_guard lock(mutex_);
        ++n_ended_;
        ended_.notify_one();
    }

    void fail(std::exception_ptr error) noexcept {
        const std::lock_guard lock(mutex_);
        if (!stop_.exchange(true)) error_ = std::move(error);
    }

    // Whether n workers have ended. Waits up to one poll interval for them.
    bool wait_for(int n) {
        std::unique_lock lock(mutex_);
        return ended_.wait_for(lock, poll_interval, [&] { return n_ended_ == n; });
    }

    double fraction() const {
        return static_cast<double>(done_.load(std::memory_order_relaxed)) /
               static_cast<double>(n_blocks_);
    }

    bool stopped() const { return stop_.load(std::memory_order_relaxed); }

    void rethrow() const {
        if (error_) std::rethrow_exception(error_);
    }

private:
    const std::size_t n_blocks_;
    const Body& body_;
    std::atomic<std::size_t> next_{0};
    std::atomic<std::size_t> done_{0};
    std::atomic<bool> stop_{false};
    std::mutex mutex_;
    std::condition_variable waits_;
    std::condition_variable opened_;
    std::condition_variable ended_;
    int n_waiting_ = 0;
    bool is_open_ = false;
    int n_ended_ = 0;
    std::exception_ptr error_;
};

}  // namespace

int available_n_threads() {
    auto n = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) n = std::max(1, CPU_COUNT(&set));
    n = std::min(n, cgroup_threads());
#endif
    return n;
}

int default_n_threads() {
    const int available = available_n_threads();
    const char* wanted = std::getenv("OMP_NUM_THREADS");
    if (wanted == nullptr) return available;
    const long n = std::strtol(wanted, nullptr, 10);  // the first of a list "4,2"
    return n >= 1 ? static_cast<int>(std::min<long>(n, available)) : available;
}

std::size_t available_memory() {
    double left = address_space();
#ifdef __linux__
    std::ifstream file("/proc/meminfo");
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string key;
        double kibibytes = 0;
        if (words >> key >> kibibytes && key == "MemAvailable:") {
            left = std::min(left, kibibytes * 1024);
        }
    }
    left = std::min(left, cgroup_memory());
#endif
    constexpr auto most = std::numeric_limits<std::size_t>::max();
    return left < static_cast<double>(most) ? static_cast<std::size_t>(left) : most;
}

Executor::Executor(int n_threads, Hooks hooks)
    : n_threads_(n_threads == 0 ? default_n_threads() : n_threads), hooks_(std::move(hooks)) {
    if (n_threads < 0) {
        throw std::invalid_argument("n_threads must be at least 0, got " +
                                    std::to_string(n_threads) + ".");
    }
}

int Executor::n_workers(std::size_t n_blocks) const {
    if (current_stop != nullptr) return 1;
    const auto n_threads = static_cast<std::size_t>(n_threads_);
    return static_cast<int>(std::clamp<std::size_t>(n_blocks, 1, n_threads));
}

void Executor::run(std::size_t n_blocks, const std::function<void(std::size_t, int)>& body) const {
    const int n = n_workers(n_blocks);
    if (n == 1) {
        for (std::size_t block = 0; block < n_blocks; ++block) {
            checkpoint();
            body(block, 0);
            report(static_cast<double>(block + 1) / static_cast<double>(n_blocks));
        }
        return;
    }
    Run run(n_blocks, body);
    std::vector<std::thread> threads;
    threads.reserve(static_cast<std::size_t>(n));
    // Where the address space is limited, only threads start that it has room for, and the work
    // begins once they have taken it.
    const bool is_limited = address_space() < unlimited;
    if (!is_limited) run.open();
    const double wanted = is_limited ? stack_size() + spare_address_space : 0;
    try {
        for (int worker = 0; worker < n; ++worker) {
            if (is_limited && address_space() < wanted) break;
            threads.emplace_back([&run, worker] { run.work_when_open(worker); });
            if (is_limited) run.wait_for_threads(worker + 1);
        }
    } catch (const std::system_error&) {  // the system has no more threads
    } catch (...) {
        run.fail(std::current_exception());
    }
    run.open();
    // Those that started do the work; without any, this thread.
    if (threads.empty()) run.work(0);
    const int n_started = std::max(1, static_cast<int>(threads.size()));
    while (!threads.empty() && !run.wait_for(n_started)) {
        if (run.stopped()) continue;
        try {
            if (hooks_.poll) hooks_.poll();
            report(run.fraction());
        } catch (...) {
            run.fail(std::current_exception());
        }
    }
    for (std::thread& thread : threads) thread.join();
    run.rethrow();
    poll_if_due();
    report(1.0);
}

void Executor::run_ranges(std::size_t n_items, std::size_t grain,
                          const std::function<void(std::size_t, std::size_t, int)>& body) const {
    run((n_items + grain - 1) / grain, [&](std::size_t block, int worker) {
        const std::size_t begin = block * grain;
        body(begin, std::min(n_items, begin + grain), worker);
    });
}

void Executor::checkpoint() const {
    if (current_stop != nullptr) {
        throw_if_stopped();
        return;
    }
    poll_if_due();
}

void Executor::poll_if_due() const {
    if (!hooks_.poll) return;
    const std::int64_t now = now_ns();
    if (now - last_poll_ns_ < std::chrono::nanoseconds(poll_interval).count()) return;
    last_poll_ns_ = now;
    hooks_.poll();
}

void Executor::stage(std::string_view name, double begin, double end) const {
    if (current_stop != nullptr || !hooks_.progress) return;
    stage_ = name;
    stage_begin_ = begin;
    stage_end_ = end;
    report(0.0);
}

void Executor::report(double fraction) const {
    if (current_stop != nullptr || !hooks_.progress) return;
    const double share = stage_begin_ + fraction * (stage_end_ - stage_begin_);
    const std::int64_t now = now_ns();
    const bool is_new = stage_ != reported_stage_;
    if (!is_new) {
        // A stage may consist of several runs. The fraction reported never decreases.
        if (share <= reported_) return;
        if (share < 1.0 &&
            now - last_report_ns_ < 2 * std::chrono::nanoseconds(poll_interval).count()) {
            return;
        }
    }
    reported_stage_ = stage_;
    reported_ = share;
    last_report_ns_ = now;
    hooks_.progress(stage_, share);
}

void Executor::require_memory(std::size_t bytes, std::string_view purpose) const {
    if (bytes < max_unchecked_bytes) return;
    const std::size_t left = available_memory();
    if (bytes <= left) return;
    throw MemoryLimitError(std::to_string(bytes) + " bytes are needed for " + std::string(purpose) +
                           ", but only " + std::to_string(left) +
                           " are available. Use fewer samples, partitions or clusters per "
                           "partition, or a machine with more memory.");
}

}  // namespace labelquorum
