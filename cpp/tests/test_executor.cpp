// Executor: every block runs once, one exception comes through, and every run ends.
#include "labelquorum/executor.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sys/resource.h>
#include <unistd.h>
#endif

#include "check.hpp"

using labelquorum::Executor;
using labelquorum::Hooks;

namespace {

struct Interrupted {};

struct Failure {
    std::size_t block;
};

constexpr int some_threads[] = {1, 2, 3, 8, 33};

void sleep_ms(int milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

std::vector<int> counted(const Executor& executor, std::size_t n_blocks) {
    std::vector<std::atomic<int>> calls(n_blocks);
    executor.run(n_blocks, [&](std::size_t block, int) { calls[block].fetch_add(1); });
    return {calls.begin(), calls.end()};
}

TEST(every_block_runs_once_for_any_number_of_threads) {
    for (const int n_threads : some_threads) {
        const Executor executor(n_threads);
        for (const std::size_t n_blocks : {0, 1, 2, 7, 8, 9, 1000}) {
            CHECK(counted(executor, n_blocks) == std::vector<int>(n_blocks, 1));
        }
    }
}

TEST(workers_are_numbered_below_n_workers_and_take_blocks_in_ascending_order) {
    for (const int n_threads : some_threads) {
        const Executor executor(n_threads);
        CHECK(executor.n_threads() == n_threads);
        for (const std::size_t n_blocks : {1, 2, 5, 500}) {
            const int n_workers = executor.n_workers(n_blocks);
            CHECK(n_workers == std::min(n_threads, static_cast<int>(n_blocks)));
            std::vector<std::vector<std::size_t>> blocks(static_cast<std::size_t>(n_workers));
            executor.run(n_blocks, [&](std::size_t block, int worker) {
                CHECK(worker >= 0 && worker < n_workers);
                blocks[static_cast<std::size_t>(worker)].push_back(block);
            });
            for (const auto& of_worker : blocks) {
                CHECK(std::is_sorted(of_worker.begin(), of_worker.end()));
            }
        }
    }
}

TEST(ranges_cover_every_item_once) {
    for (const int n_threads : some_threads) {
        const Executor executor(n_threads);
        for (const std::size_t n_items : {0, 1, 99, 100, 101, 12345}) {
            for (const std::size_t grain : {1, 7, 100, 100'000}) {
                std::vector<int> seen(n_items, 0);
                executor.run_ranges(n_items, grain, [&](std::size_t begin, std::size_t end, int) {
                    CHECK(begin < end && end <= n_items && end - begin <= grain);
                    for (std::size_t i = begin; i < end; ++i) ++seen[i];
                });
                CHECK(seen == std::vector<int>(n_items, 1));
            }
        }
    }
}

TEST(several_threads_run_at_once) {
    const Executor executor(2);
    std::atomic<int> arrived{0};
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    executor.run(2, [&](std::size_t, int) {
        arrived.fetch_add(1);
        while (arrived.load() < 2) {
            CHECK(std::chrono::steady_clock::now() < patience);
            std::this_thread::yield();
        }
    });
}

TEST(an_exception_from_any_block_arrives_once_and_nothing_new_starts) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 500; ++round) {
        const Executor executor(some_threads[random() % 5]);
        const std::size_t n_blocks = 1 + random() % 200;
        const std::size_t bad = random() % n_blocks;
        const bool all_after = random() % 2 == 0;
        std::atomic<std::size_t> n_started{0};
        int n_caught = 0;
        try {
            executor.run(n_blocks, [&](std::size_t block, int) {
                n_started.fetch_add(1);
                if (block == bad || (all_after && block > bad)) throw Failure{block};
            });
        } catch (const Failure& failure) {
            ++n_caught;
            CHECK(failure.block == bad || (all_after && failure.block > bad));
        }
        CHECK(n_caught == 1);
        CHECK(n_started.load() <= n_blocks);
        CHECK(counted(executor, 50) == std::vector<int>(50, 1));
    }
}

TEST(blocks_stop_being_started_after_an_exception) {
    constexpr std::size_t n_blocks = 1'000'000;
    for (const int n_threads : {1, 4}) {
        std::atomic<std::size_t> n_started{0};
        CHECK_THROWS(Failure, Executor(n_threads).run(n_blocks, [&](std::size_t block, int) {
            n_started.fetch_add(1);
            if (block == 0) throw Failure{block};
            sleep_ms(1);
        }));
        CHECK(n_started.load() < 10'000);
    }
}

TEST(the_hooks_run_on_the_calling_thread_only) {
    const auto caller = std::this_thread::get_id();
    int n_polls = 0;
    int n_reports = 0;
    const Executor executor(3, {[&] {
                                    CHECK(std::this_thread::get_id() == caller);
                                    ++n_polls;
                                },
                                [&](std::string_view, double) {
                                    CHECK(std::this_thread::get_id() == caller);
                                    ++n_reports;
                                }});
    executor.run(30, [&](std::size_t, int) {
        executor.checkpoint();
        executor.stage("not from here");
        sleep_ms(20);
    });
    CHECK(n_polls >= 2);
    CHECK(n_reports >= 1);
}

TEST(a_poll_that_throws_at_any_moment_ends_the_run_soon) {
    std::mt19937_64 random(2);
    for (int round = 0; round < 30; ++round) {
        const int n_threads = some_threads[random() % 5];
        int polls_left = static_cast<int>(random() % 4);
        const Executor executor(n_threads, {[&] {
                                                if (polls_left-- == 0) throw Interrupted{};
                                            },
                                            {}});
        std::atomic<std::size_t> n_started{0};
        const auto start = std::chrono::steady_clock::now();
        CHECK_THROWS(Interrupted, executor.run(1'000'000, [&](std::size_t, int) {
            n_started.fetch_add(1);
            sleep_ms(1);
        }));
        CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
        CHECK(n_started.load() < 1'000'000);
        polls_left = -1;
        CHECK(counted(executor, 50) == std::vector<int>(50, 1));
    }
}

TEST(a_progress_hook_that_throws_ends_the_run) {
    for (const int n_threads : some_threads) {
        bool armed = true;
        const Executor executor(n_threads, {{}, [&](std::string_view, double fraction) {
                                                if (armed && fraction > 0) throw Interrupted{};
                                            }});
        CHECK_THROWS(Interrupted, executor.run(500, [&](std::size_t, int) { sleep_ms(1); }));
        armed = false;
        CHECK(counted(executor, 50) == std::vector<int>(50, 1));
    }
}

TEST(a_poll_and_a_block_that_both_throw_give_one_of_the_two) {
    for (int round = 0; round < 20; ++round) {
        const Executor executor(4, {[] { throw Interrupted{}; }, {}});
        int n_caught = 0;
        try {
            executor.run(100, [&](std::size_t block, int) {
                sleep_ms(5);
                if (block >= 36) throw Failure{block};
            });
        } catch (const Interrupted&) {
            ++n_caught;
        } catch (const Failure&) {
            ++n_caught;
        }
        CHECK(n_caught == 1);
    }
}

TEST(a_nested_run_is_serial_on_its_worker) {
    for (const int n_threads : some_threads) {
        const Executor executor(n_threads);
        std::vector<std::vector<int>> calls(20, std::vector<int>(30, 0));
        executor.run(calls.size(), [&](std::size_t outer, int) {
            const auto here = std::this_thread::get_id();
            executor.run(calls[outer].size(), [&](std::size_t inner, int worker) {
                CHECK(n_threads == 1 || worker == 0);
                CHECK(n_threads == 1 || std::this_thread::get_id() == here);
                ++calls[outer][inner];
            });
        });
        for (const auto& inner : calls) CHECK(inner == std::vector<int>(30, 1));
    }
}

TEST(an_exception_from_a_nested_run_arrives_once) {
    for (const int n_threads : some_threads) {
        const Executor executor(n_threads);
        int n_caught = 0;
        try {
            executor.run(10, [&](std::size_t outer, int) {
                executor.run(10, [&](std::size_t inner, int) {
                    if (outer == 3 && inner == 4) throw Failure{34};
                });
            });
        } catch (const Failure& failure) {
            ++n_caught;
            CHECK(failure.block == 34);
        }
        CHECK(n_caught == 1);
    }
}

TEST(a_checkpoint_in_a_worker_ends_a_stopped_run) {
    const Executor executor(4);
    std::atomic<int> n_cut_short{0};
    std::atomic<int> n_running{0};
    int n_caught = 0;
    try {
        executor.run(4, [&](std::size_t block, int) {
            n_running.fetch_add(1);
            if (block == 0) {
                while (n_running.load() < 4) std::this_thread::yield();
                throw Failure{0};
            }
            const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
            try {
                while (true) {
                    executor.checkpoint();
                    CHECK(std::chrono::steady_clock::now() < patience);
                    sleep_ms(1);
                }
            } catch (...) {
                n_cut_short.fetch_add(1);
                throw;
            }
        });
    } catch (const Failure&) {
        ++n_caught;
    }
    CHECK(n_caught == 1);
    CHECK(n_cut_short.load() == 3);
}

TEST(a_checkpoint_in_a_worker_goes_on_while_the_run_does) {
    const Executor executor(2, {[] {}, {}});
    executor.run(10, [&](std::size_t, int) {
        for (int i = 0; i < 100; ++i) executor.checkpoint();
    });
}

TEST(an_interrupt_reaches_a_long_block_through_checkpoints) {
    const auto start = std::chrono::steady_clock::now();
    const auto interrupting = [start] {
        if (std::chrono::steady_clock::now() - start > std::chrono::milliseconds(100)) {
            throw Interrupted{};
        }
    };
    for (const int n_threads : {1, 3}) {
        const Executor executor(n_threads, {interrupting, {}});
        CHECK_THROWS(Interrupted, executor.run(3, [&](std::size_t, int) {
            while (true) {
                CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(30));
                executor.checkpoint();
            }
        }));
        CHECK_THROWS(
            Interrupted, while (true) {
                executor.checkpoint();
                sleep_ms(1);
            });
    }
}

TEST(progress_ascends_through_the_stages_and_reaches_one) {
    for (const int n_threads : some_threads) {
        std::vector<std::string> stages;
        std::vector<double> fractions;
        const Executor executor(n_threads, {{}, [&](std::string_view stage, double fraction) {
                                                stages.emplace_back(stage);
                                                fractions.push_back(fraction);
                                            }});
        const auto work = [](std::size_t, int) { sleep_ms(2); };
        executor.stage("first", 0.0, 0.25);
        executor.run(100, work);
        executor.stage("second", 0.25, 1.0);
        executor.run(100, work);
        CHECK(!fractions.empty());
        CHECK(std::is_sorted(fractions.begin(), fractions.end()));
        CHECK(fractions.front() >= 0.0);
        CHECK(fractions.back() == 1.0);
        for (std::size_t i = 0; i < stages.size(); ++i) {
            CHECK(stages[i] == "first" ? fractions[i] <= 0.25
                                       : stages[i] == "second" && fractions[i] >= 0.25);
        }
        CHECK(stages.front() == "first" && stages.back() == "second");
    }
}

TEST(two_callers_with_one_executor_each_do_not_meet) {
    std::vector<int> first;
    std::vector<int> second;
    std::thread other([&] {
        for (int i = 0; i < 50; ++i) first = counted(Executor(3), 200);
    });
    for (int i = 0; i < 50; ++i) second = counted(Executor(3), 200);
    other.join();
    CHECK(first == std::vector<int>(200, 1) && second == first);
}

TEST(many_short_runs_one_after_the_other_all_end) {
    const Executor executor(8);
    std::atomic<std::size_t> total{0};
    for (std::size_t i = 0; i < 2000; ++i) {
        executor.run(i % 12, [&](std::size_t, int) { total.fetch_add(1); });
    }
    std::size_t expected = 0;
    for (std::size_t i = 0; i < 2000; ++i) expected += i % 12;
    CHECK(total.load() == expected);
}

TEST(memory_that_cannot_be_had_is_refused_with_both_numbers) {
    const Executor executor(1);
    CHECK(labelquorum::available_memory() > 0);
    executor.require_memory(0, "nothing");
    executor.require_memory(std::size_t{1} << 20, "little");
    constexpr std::size_t too_much = std::numeric_limits<std::size_t>::max() / 2;
    CHECK_THROWS(labelquorum::MemoryLimitError, executor.require_memory(too_much, "the moon"));
    try {
        executor.require_memory(too_much, "the moon");
    } catch (const labelquorum::MemoryLimitError& error) {
        const std::string message = error.what();
        CHECK(message.find(std::to_string(too_much)) != std::string::npos);
        CHECK(message.find("the moon") != std::string::npos);
        CHECK(message.find("available") != std::string::npos);
    }
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Where the address space is limited (ulimit -v), fewer threads do the work.
TEST(a_limited_address_space_is_no_reason_to_fail) {
    rlimit before{};
    CHECK(getrlimit(RLIMIT_AS, &before) == 0);
    for (const std::size_t mebibytes : {0, 1, 20, 40, 100, 1000}) {
        long pages = 0;
        std::ifstream("/proc/self/statm") >> pages;
        rlimit limit = before;
        limit.rlim_cur = static_cast<rlim_t>(pages * sysconf(_SC_PAGESIZE)) + (mebibytes << 20);
        CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
        // Ended threads may still give stacks back.
        CHECK(labelquorum::available_memory() <= (mebibytes + 200) << 20);
        std::atomic<int> n_run{0};
        Executor(8).run(1000, [&](std::size_t, int) {
            try {
                throw Failure{0};  // exceptions need thread-local memory
            } catch (const Failure&) {
                ++n_run;
            }
        });
        CHECK(n_run == 1000);
        CHECK(setrlimit(RLIMIT_AS, &before) == 0);
    }
}
#endif

TEST(the_default_number_of_threads_heeds_the_environment) {
    const int available = labelquorum::available_n_threads();
    CHECK(available >= 1);
    const auto with = [](const char* value) {
        setenv("OMP_NUM_THREADS", value, 1);
        return labelquorum::default_n_threads();
    };
    CHECK(with("1") == 1);
    CHECK(Executor().n_threads() == 1);
    CHECK(with("1,4") == 1);
    CHECK(with("1000000") == available);
    for (const char* no_number : {"", "0", "-3", "many"}) CHECK(with(no_number) == available);
    unsetenv("OMP_NUM_THREADS");
    CHECK(labelquorum::default_n_threads() == available);
    CHECK(Executor().n_threads() == available);
}

TEST(a_negative_number_of_threads_is_refused) { CHECK_THROWS(std::invalid_argument, Executor(-1)); }

}  // namespace
