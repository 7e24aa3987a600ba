// SignatureTable: ids and counts are those of a map, and a call that fails changes nothing.
#include <chrono>
#include <limits>
#include <memory>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "check.hpp"
#include "faults.hpp"
#include "labelquorum/signatures.hpp"
#include "naive.hpp"

using labelquorum::Executor;
using labelquorum::Hooks;
using labelquorum::SignatureTable;
using naive::Columns;
using naive::Matrix;
using naive::planted;
using naive::Rows;

namespace {

struct Interrupted {};

constexpr int some_threads[] = {1, 2, 8};

// All kinds of shapes: few and many words per row, few and many signatures.
naive::Shape random_shape(std::mt19937_64& random) {
    const auto pick = [&](auto... values) {
        const std::common_type_t<decltype(values)...> options[] = {values...};
        return options[random() % sizeof...(values)];
    };
    naive::Shape shape;
    shape.n = 1 + random() % 300;
    shape.m =
        pick(std::size_t{1}, std::size_t{3}, std::size_t{10}, std::size_t{24}, std::size_t{70});
    shape.n_ids = pick(1, 3, 10, 300);
    shape.noise = pick(0.0, 0.1, 0.5);
    shape.abstain = pick(0.0, 0.1, 0.9);
    shape.max_id = pick(0, 255, 70000, std::numeric_limits<std::int32_t>::max());
    return shape;
}

TEST(update_equals_a_map_for_any_chunks_and_threads) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 300; ++round) {
        const Rows rows = planted(random, random_shape(random));
        const Columns columns(rows);
        const Matrix matrix(rows);
        naive::Table expected;
        const std::vector<std::int32_t> expected_ids = expected.update(rows);
        SignatureTable table(rows.front().size());
        const Executor executor(some_threads[random() % 3]);
        std::vector<std::int64_t> ids(rows.size());
        for (std::size_t begin = 0; begin < rows.size();) {
            const std::size_t end = begin + 1 + random() % (rows.size() - begin);
            table.update(random() % 2 == 0 ? columns.view(begin, end) : matrix.view(begin, end),
                         ids.data() + begin, executor);
            begin = end;
        }
        CHECK(std::equal(ids.begin(), ids.end(), expected_ids.begin()));
        CHECK(naive::holds(table, expected));
        std::vector<std::int32_t> found(rows.size());
        table.lookup(columns.view(), found.data(), executor);
        CHECK(found == expected_ids);
    }
}

TEST(ineligible_rows_are_left_out) {
    std::mt19937_64 random(2);
    for (int round = 0; round < 100; ++round) {
        const Rows rows = planted(random, random_shape(random));
        std::vector<std::uint8_t> eligible(rows.size());
        naive::Table expected;
        std::vector<std::int32_t> expected_ids(rows.size(), -1);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            eligible[i] = random() % 3 != 0 ? 1 : 0;
            if (eligible[i] != 0) expected_ids[i] = expected.add(rows[i]);
        }
        SignatureTable table(rows.front().size());
        std::vector<std::int32_t> ids(rows.size());
        table.update(Columns(rows).view(), ids.data(), Executor(2), eligible.data());
        CHECK(ids == expected_ids);
        CHECK(naive::holds(table, expected));
    }
}

// The first segment (2^21 rows) has no eligible row and fits one word, the second needs two words.
TEST(rows_are_told_apart_by_all_words_after_a_segment_without_eligible_rows) {
    constexpr std::size_t n_skipped = std::size_t{1} << 21;
    constexpr std::size_t n_each = 20000;  // more than a block
    constexpr std::int32_t large = std::numeric_limits<std::int32_t>::max() - 1;
    const std::size_t n = n_skipped + 2 * n_each;
    std::vector<std::int32_t> wide(n, 0);
    std::vector<std::int32_t> last(n, 0);
    std::vector<std::uint8_t> eligible(n, 0);
    for (std::size_t i = n_skipped; i < n; ++i) {
        wide[i] = large;
        last[i] = large - static_cast<std::int32_t>(i < n_skipped + n_each);
        eligible[i] = 1;
    }
    constexpr std::ptrdiff_t stride = sizeof(std::int32_t);
    constexpr auto type = labelquorum::IntegerType::i32;
    const labelquorum::Partitions partitions{
        {{wide.data(), stride, type}, {wide.data(), stride, type}, {last.data(), stride, type}}, n};
    SignatureTable table(3);
    std::vector<std::int32_t> ids(n);
    table.update(partitions, ids.data(), Executor(1), eligible.data());
    CHECK(table.size() == 2);
    CHECK(table.counts() == (std::vector<std::int64_t>{n_each, n_each}));
}

TEST(merge_equals_one_update) {
    std::mt19937_64 random(3);
    for (int round = 0; round < 150; ++round) {
        naive::Shape shape = random_shape(random);
        const Rows first = planted(random, shape);
        shape.max_id = random() % 2 == 0 ? 0 : 3000;
        const Rows second = planted(random, shape);
        const Executor executor(some_threads[random() % 3]);
        SignatureTable table(shape.m);
        SignatureTable other(shape.m);
        std::vector<std::int32_t> ids(first.size());
        table.update(Columns(first).view(), ids.data(), executor);
        ids.resize(second.size());
        other.update(Columns(second).view(), ids.data(), executor);
        const std::vector<std::int32_t> remap = table.merge(other, executor);
        naive::Table expected;
        expected.update(first);
        const std::vector<std::int32_t> expected_ids = expected.update(second);
        CHECK(naive::holds(table, expected));
        for (std::size_t i = 0; i < ids.size(); ++i) {
            CHECK(remap[static_cast<std::size_t>(ids[i])] == expected_ids[i]);
        }
    }
}

TEST(merge_with_itself_doubles_until_counts_would_overflow) {
    const Rows rows = {{1, 2}, {3, -1}, {1, 2}};
    SignatureTable table(2);
    std::int32_t ids[3];
    table.update(Columns(rows).view(), ids, Executor(1));
    naive::Table expected;
    expected.update(rows);
    while (table.n_samples() <= std::numeric_limits<std::int64_t>::max() / 2) {
        const std::vector<std::int32_t> remap = table.merge(table, Executor(2));
        for (std::int64_t& count : expected.counts) count *= 2;
        CHECK(remap[0] == 0 && remap[1] == 1);
        CHECK(naive::holds(table, expected));
    }
    CHECK_THROWS(std::overflow_error, table.merge(table, Executor(2)));
    CHECK(naive::holds(table, expected));
}

TEST(counted_rows_add_up_and_counts_below_one_are_refused) {
    const Rows rows = {{1, 2}, {3, -1}, {1, 2}};
    const Columns columns(rows);
    std::int64_t counts[] = {std::int64_t{1} << 40, 5, 7};
    std::int32_t ids[3];
    SignatureTable table(2);
    table.update_counted(columns.view(), counts, ids, Executor(1));
    naive::Table expected;
    for (std::size_t i = 0; i < 3; ++i) CHECK(ids[i] == expected.add(rows[i], counts[i]));
    CHECK(naive::holds(table, expected));
    for (const std::int64_t bad : {std::int64_t{0}, std::int64_t{-1}}) {
        counts[2] = bad;
        CHECK_THROWS(std::invalid_argument,
                     table.update_counted(columns.view(), counts, ids, Executor(1)));
        CHECK(naive::holds(table, expected));
    }
}

TEST(a_copy_stands_on_its_own) {
    const Rows rows = {{1, 2}, {3, -1}};
    SignatureTable table(2);
    std::int32_t ids[2];
    table.update(Columns(rows).view(), ids, Executor(1));
    naive::Table expected;
    expected.update(rows);
    const SignatureTable copy(table);
    table.update(Columns({{4, 4}, {3, -1}}).view(), ids, Executor(1));
    CHECK(naive::holds(copy, expected));
}

TEST(the_number_of_partitions_is_checked) {
    CHECK_THROWS(std::invalid_argument, SignatureTable(0));
    CHECK_THROWS(std::invalid_argument, SignatureTable(65536));
    SignatureTable table(2);
    const Columns three({{1, 2, 3}});
    std::int32_t id = 0;
    CHECK_THROWS(std::invalid_argument, table.update(three.view(), &id, Executor(1)));
    CHECK_THROWS(std::invalid_argument, table.lookup(three.view(), &id, Executor(1)));
    CHECK_THROWS(std::invalid_argument, table.merge(SignatureTable(3), Executor(1)));
    CHECK(table.size() == 0);
}

TEST(an_id_too_large_in_any_row_leaves_the_table_as_it_was) {
    std::mt19937_64 random(4);
    const Rows before = planted(random, {.n = 500, .m = 4});
    const Rows chunk = planted(random, {.n = 60'000, .m = 4, .n_ids = 500, .noise = 0.6});
    naive::Table expected;
    expected.update(before);
    for (const int n_threads : some_threads) {
        for (const std::size_t row : {std::size_t{0}, std::size_t{30'000}, chunk.size() - 1}) {
            SignatureTable table(4);
            std::vector<std::int32_t> ids(chunk.size());
            table.update(Columns(before).view(), ids.data(), Executor(n_threads));
            Columns bad(chunk);
            bad.at(row, 3) = labelquorum::max_cluster_id + 1;
            CHECK_THROWS(labelquorum::ClusterIdError,
                         table.update(bad.view(), ids.data(), Executor(n_threads)));
            CHECK(naive::holds(table, expected));
        }
    }
}

// Two bytes per row, so that several segments are cheap.
struct NarrowColumns {
    std::vector<std::uint8_t> low;
    std::vector<std::int64_t> high;

    explicit NarrowColumns(std::size_t n) : low(n), high(n) {
        for (std::size_t i = 0; i < n; ++i) {
            low[i] = static_cast<std::uint8_t>(i % 251);
            high[i] = static_cast<std::int64_t>(i / 50'000);
        }
    }

    labelquorum::Partitions view() const {
        return {{{low.data(), 1, labelquorum::IntegerType::u8},
                 {high.data(), 8, labelquorum::IntegerType::i64}},
                low.size()};
    }
};

TEST(a_failure_millions_of_rows_into_a_chunk_undoes_all_of_them) {
    constexpr std::size_t n = 5'000'000;
    NarrowColumns columns(n);
    std::vector<std::int32_t> ids(n);
    SignatureTable table(2);
    std::int32_t id = 0;
    table.update(Columns({{250, 1}}).view(), &id, Executor(1));
    naive::Table expected;
    expected.update({{250, 1}});
    columns.high.back() = labelquorum::max_cluster_id + 1;
    for (const int n_threads : {1, 2}) {
        CHECK_THROWS(labelquorum::ClusterIdError,
                     table.update(columns.view(), ids.data(), Executor(n_threads)));
        CHECK(naive::holds(table, expected));
    }
    columns.high.back() = labelquorum::max_cluster_id;
    table.update(columns.view(), ids.data(), Executor(2));
    CHECK(table.n_samples() == static_cast<std::int64_t>(n) + 1);
    CHECK(table.size() == 251 * 100 + 1);
    std::vector<std::int32_t> found(n);
    table.lookup(columns.view(), found.data(), Executor(2));
    CHECK(found == ids);
}

// The frequent rows change along the way, and ids too large for the first layout come late.
TEST(millions_of_rows_in_one_call_equal_a_map) {
    constexpr std::size_t n = 5'000'000;
    constexpr std::size_t m = 9;
    std::mt19937_64 random(11);
    std::vector<std::int8_t> values(n * m);
    std::unordered_map<std::string_view, std::int32_t> expected;
    std::vector<std::int32_t> expected_ids(n);
    std::vector<std::int64_t> expected_counts;
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t bits = random();
        const std::uint64_t rare = bits % 8 == 0 ? (bits >> 8) % 1'000'000 : (bits >> 8) % 100;
        const std::uint64_t number = rare + i / 700'000 * 50;
        std::int8_t* row = values.data() + i * m;
        for (std::size_t j = 0; j < m; ++j) {
            row[j] = static_cast<std::int8_t>((number >> (3 * j)) % 8);
        }
        if (number % 10 == 0 && i > n / 2) row[m - 1] = 127;
        const std::string_view key(reinterpret_cast<const char*>(row), m);
        const auto [it, is_new] =
            expected.try_emplace(key, static_cast<std::int32_t>(expected.size()));
        if (is_new) expected_counts.push_back(0);
        expected_ids[i] = it->second;
        ++expected_counts[static_cast<std::size_t>(it->second)];
    }
    labelquorum::Partitions matrix{{}, n};
    for (std::size_t j = 0; j < m; ++j) {
        matrix.columns.push_back({values.data() + j, m, labelquorum::IntegerType::i8});
    }
    std::vector<std::int8_t> transposed(n * m);
    labelquorum::Partitions columns{{}, n};
    for (std::size_t j = 0; j < m; ++j) {
        for (std::size_t i = 0; i < n; ++i) transposed[j * n + i] = values[i * m + j];
        columns.columns.push_back({transposed.data() + j * n, 1, labelquorum::IntegerType::i8});
    }
    for (const auto& partitions : {matrix, columns}) {
        for (const int n_threads : {1, 3}) {
            SignatureTable table(m);
            std::vector<std::int32_t> ids(n);
            table.update(partitions, ids.data(), Executor(n_threads));
            CHECK(ids == expected_ids);
            CHECK(table.counts() == expected_counts);
        }
    }
}

TEST(a_failed_allocation_anywhere_in_an_update_leaves_the_table_as_it_was) {
    std::mt19937_64 random(5);
    const naive::Shape shapes[] = {
        {.n = 1200, .m = 3, .n_ids = 40, .noise = 0.5},
        {.n = 800, .m = 30, .n_ids = 40, .noise = 0.5, .max_id = 100'000},
    };
    for (const naive::Shape& shape : shapes) {
        for (const int n_threads : {1, 4}) {
            const Rows before = planted(random, {.n = 200, .m = shape.m});
            const Rows chunk = planted(random, shape);
            const Columns columns(chunk);
            const labelquorum::Partitions view = columns.view();
            naive::Table expected_before;
            expected_before.update(before);
            naive::Table expected_after = expected_before;
            const std::vector<std::int32_t> expected_ids = expected_after.update(chunk);
            SignatureTable base(shape.m);
            std::vector<std::int32_t> ids(chunk.size());
            base.update(Columns(before).view(), ids.data(), Executor(1));
            const Executor executor(n_threads);
            const long long held = faults::held.load();
            faults::for_each_allocation([&](long long k, bool only_once) {
                auto table = std::make_unique<SignatureTable>(base);
                const bool done = faults::survives(
                    k, only_once, [&] { table->update(view, ids.data(), executor); });
                CHECK(naive::holds(*table, done ? expected_after : expected_before));
                if (!done) table->update(view, ids.data(), executor);
                CHECK(naive::holds(*table, expected_after));
                CHECK(ids == expected_ids);
                table.reset();
                CHECK(faults::held.load() == held);
            });
        }
    }
}

TEST(a_failed_allocation_anywhere_in_a_merge_leaves_the_table_as_it_was) {
    std::mt19937_64 random(6);
    for (const int n_threads : {1, 4}) {
        const Rows first = planted(random, {.n = 500, .m = 5, .n_ids = 20, .noise = 0.4});
        const Rows second =
            planted(random, {.n = 2000, .m = 5, .n_ids = 20, .noise = 0.4, .max_id = 1 << 20});
        std::vector<std::int32_t> ids(second.size());
        SignatureTable base(5);
        base.update(Columns(first).view(), ids.data(), Executor(1));
        SignatureTable other(5);
        other.update(Columns(second).view(), ids.data(), Executor(1));
        naive::Table expected_before;
        expected_before.update(first);
        naive::Table expected_after = expected_before;
        expected_after.update(second);
        const Executor executor(n_threads);
        const long long held = faults::held.load();
        faults::for_each_allocation([&](long long k, bool only_once) {
            auto table = std::make_unique<SignatureTable>(base);
            const bool done =
                faults::survives(k, only_once, [&] { table->merge(other, executor); });
            CHECK(naive::holds(*table, done ? expected_after : expected_before));
            table.reset();
            CHECK(faults::held.load() == held);
        });
        naive::Table expected_other;
        expected_other.update(second);
        CHECK(naive::holds(other, expected_other));
    }
}

TEST(a_failed_allocation_anywhere_in_reading_leaves_nothing_behind) {
    std::mt19937_64 random(7);
    const Rows rows = planted(random, {.n = 5000, .m = 4, .n_ids = 30, .noise = 0.5});
    const Columns columns(rows);
    const labelquorum::Partitions view = columns.view();
    naive::Table expected;
    const std::vector<std::int32_t> expected_ids = expected.update(rows);
    SignatureTable table(4);
    std::vector<std::int32_t> ids(rows.size());
    table.update(view, ids.data(), Executor(1));
    std::vector<std::int32_t> signatures(table.size() * 4);
    for (const int n_threads : {1, 4}) {
        const Executor executor(n_threads);
        const long long held = faults::held.load();
        faults::for_each_allocation([&](long long k, bool only_once) {
            const bool done = faults::survives(k, only_once, [&] {
                table.lookup(view, ids.data(), executor);
                signatures = table.signatures(executor);
                const SignatureTable copy(table);
                CHECK(copy.size() == table.size());
            });
            CHECK(!done || ids == expected_ids);
            CHECK(faults::held.load() == held);
        });
        CHECK(naive::holds(table, expected));
    }
}

// Hooks that interrupt after a few milliseconds, as Ctrl-C does.
Hooks interrupting_after(int milliseconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
    return {[end] {
                if (std::chrono::steady_clock::now() >= end) throw Interrupted{};
            },
            {}};
}

TEST(an_interrupt_at_any_moment_of_an_update_leaves_the_table_as_it_was) {
    constexpr std::size_t n = 5'000'000;
    const NarrowColumns columns(n);
    std::vector<std::int32_t> ids(n);
    SignatureTable base(2);
    std::int32_t id = 0;
    base.update(Columns({{250, 1}}).view(), &id, Executor(1));
    naive::Table expected;
    expected.update({{250, 1}});
    int interrupted = 0;
    for (const int milliseconds : {0, 75, 200}) {
        SignatureTable table(base);
        try {
            table.update(columns.view(), ids.data(),
                         Executor(milliseconds == 0 ? 1 : 2, interrupting_after(milliseconds)));
            CHECK(table.n_samples() == static_cast<std::int64_t>(n) + 1);
            CHECK(table.size() == 251 * 100);
        } catch (const Interrupted&) {
            ++interrupted;
            CHECK(naive::holds(table, expected));
            table.update(columns.view(), ids.data(), Executor(2));
            CHECK(table.size() == 251 * 100);
        }
    }
    CHECK(interrupted > 0);
}

TEST(an_error_of_the_progress_hook_comes_through_and_the_table_stays) {
    constexpr std::size_t n = 3'000'000;
    const NarrowColumns columns(n);
    std::vector<std::int32_t> ids(n);
    for (int calls_before = 0; calls_before < 3; ++calls_before) {
        SignatureTable table(2);
        int calls = 0;
        const Hooks hooks{{}, [&](std::string_view, double fraction) {
                              CHECK(fraction >= 0.0 && fraction <= 1.0);
                              if (calls++ == calls_before) throw Interrupted{};
                          }};
        try {
            table.update(columns.view(), ids.data(), Executor(2, hooks));
            CHECK(table.n_samples() == static_cast<std::int64_t>(n));
        } catch (const Interrupted&) {
            CHECK(table.size() == 0);
            CHECK(table.n_samples() == 0);
        }
    }
}

TEST(calls_from_many_threads_at_once_lose_no_sample) {
    std::mt19937_64 random(8);
    constexpr std::size_t n_callers = 4;
    std::vector<Rows> chunks;
    for (std::size_t i = 0; i < n_callers; ++i) {
        chunks.push_back(planted(random, {.n = 4000, .m = 6, .noise = 0.5}));
    }
    SignatureTable table(6);
    SignatureTable other(6);
    std::vector<std::int32_t> ids(chunks[0].size());
    other.update(Columns(chunks[0]).view(), ids.data(), Executor(1));
    std::vector<std::thread> callers;
    std::atomic<bool> right{true};
    for (std::size_t i = 0; i < n_callers; ++i) {
        callers.emplace_back([&, i] {
            const Columns columns(chunks[i]);
            const Executor executor(2);
            std::vector<std::int32_t> own(chunks[i].size());
            std::vector<std::int32_t> found(chunks[i].size());
            for (int round = 0; round < 3; ++round) {
                table.update(columns.view(), own.data(), executor);
                table.lookup(columns.view(), found.data(), executor);
                if (found != own) right = false;
                table.merge(other, executor);
                const SignatureTable copy(table);
                if (copy.n_samples() % 4000 != 0) right = false;
            }
        });
    }
    for (std::thread& caller : callers) caller.join();
    CHECK(right.load());
    CHECK(table.n_samples() == static_cast<std::int64_t>(n_callers * 3 * 2 * 4000));
    naive::Table expected;
    for (const Rows& chunk : chunks) expected.update(chunk);
    CHECK(table.size() == expected.counts.size());
}

TEST(tables_merged_into_each_other_at_once_do_not_lock_up) {
    std::mt19937_64 random(9);
    SignatureTable first(3);
    SignatureTable second(3);
    std::vector<std::int32_t> ids(500);
    first.update(Columns(planted(random, {.n = 500, .m = 3})).view(), ids.data(), Executor(1));
    second.update(Columns(planted(random, {.n = 500, .m = 3})).view(), ids.data(), Executor(1));
    const auto merge_often = [](SignatureTable& table, const SignatureTable& other) {
        for (int round = 0; round < 20; ++round) table.merge(other, Executor(2));
    };
    std::thread caller([&] { merge_often(first, second); });
    merge_often(second, first);
    caller.join();
    CHECK(first.size() == second.size());
}

TEST(expand_translates_ids_also_in_place) {
    const std::int64_t values[] = {10, -20, std::int64_t{1} << 40};
    const std::int32_t ids[] = {2, -1, 0, 1, -5};
    std::int64_t out[5];
    labelquorum::expand(ids, 5, values, 3, std::int64_t{-7}, out, Executor(2));
    const std::int64_t expected[] = {std::int64_t{1} << 40, -7, 10, -20, -7};
    CHECK(std::equal(out, out + 5, expected));

    std::vector<std::int32_t> in_place(200'000);
    for (std::size_t i = 0; i < in_place.size(); ++i)
        in_place[i] = static_cast<std::int32_t>(i % 3);
    const std::int32_t small[] = {5, 6, 7};
    labelquorum::expand(in_place.data(), in_place.size(), small, 3, std::int32_t{-1},
                        in_place.data(), Executor(4));
    for (std::size_t i = 0; i < in_place.size(); ++i) {
        CHECK(in_place[i] == static_cast<std::int32_t>(5 + i % 3));
    }
}

}  // namespace
