// Lazy greedy extraction.
//
// Degrees only decrease as signatures are removed, so a degree counted earlier is an upper bound. A
// heap holds these bounds, best seed first. The top is recounted until it was counted in the
// current round. It is then the next seed.
//
// The seed alone mostly decides whether a signature j is strongly negative to every member of the
// new mini-cluster. A member agrees with the seed in at least min_agree of M columns. On these, j
// differs from the member exactly where it differs from the seed. So with slack = M - min_agree,
//     differ(j, member) >= differ(j, seed) - slack.
// If differ(j, seed) >= min_differ + slack, j therefore stays alive. If differ(j, seed) <
// min_differ, it is removed, because the seed is a member. Only the rest is compared with all
// members.
#include "labelquorum/mini_clusters.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "code_columns.hpp"
#include "degrees.hpp"
#include "row_scan.hpp"

namespace labelquorum {
namespace {

// Rows per block of a scan. A smaller block is not worth a thread.
constexpr std::size_t scan_grain = std::size_t{1} << 16;
// Undecided rows compared with members at a time, and members compared before rows that must be
// removed are dropped.
constexpr std::size_t undecided_rows = scan_rows;
constexpr std::size_t members_per_round = 64;
constexpr std::size_t max_recounts = 64;

PackedSignatures select(const PackedSignatures& signatures, std::span<const std::uint8_t> eligible,
                        std::vector<std::uint32_t>& chosen) {
    PackedSignatures selected;
    selected.layout = signatures.layout;
    for (std::size_t i = 0; i < signatures.size(); ++i) {
        if (eligible[i] == 0) continue;
        chosen.push_back(static_cast<std::uint32_t>(i));
        selected.counts.push_back(signatures.counts[i]);
        selected.rows.insert(selected.rows.end(), signatures.row(i),
                             signatures.row(i) + signatures.layout.n_words);
    }
    return selected;
}

template <class C>
class Extraction {
public:
    Extraction(const PackedSignatures& signatures, const MiniClusterOptions& options,
               const Executor& executor)
        : signatures_(signatures),
          options_(options),
          executor_(executor),
          scan_(row_scan<C>()),
          m_(signatures.n_partitions()),
          bounds_(degrees(signatures, options.min_agree, Way::automatic, executor)),
          counted_in_(signatures.size(), 0),
          columns_(unpack<C>(signatures, executor)),
          counts_(signatures.counts),
          n_alive_(signatures.size()) {
        signature_at_.resize(signatures.size());
        position_of_.resize(signatures.size());
        for (std::uint32_t i = 0; i < signatures.size(); ++i) {
            signature_at_[i] = i;
            position_of_[i] = i;
            if (bounds_[i] >= options_.min_size) heap_.push_back(i);
        }
        std::make_heap(heap_.begin(), heap_.end(), Later{this});
    }

    std::vector<std::int32_t> run() {
        std::vector<std::int32_t> labels(signatures_.size(), -1);
        std::int32_t n_clusters = 0;
        std::uint32_t seed = 0;
        const auto n_at_first = static_cast<double>(std::max<std::size_t>(1, n_alive_));
        while (static_cast<std::size_t>(n_clusters) < options_.n_clusters && next_seed(seed)) {
            const double share_gone = 1.0 - static_cast<double>(n_alive_) / n_at_first;
            executor_.stage("mini-clusters", share_gone, share_gone);
            extract(seed, n_clusters, labels.data());
            ++n_clusters;
            ++round_;
            drop_dead_columns();
        }
        return labels;
    }

private:
    // Whether signature a is a worse seed than b.
    struct Later {
        const Extraction* self;
        bool operator()(std::uint32_t a, std::uint32_t b) const {
            const auto& bounds = self->bounds_;
            const auto& signatures = self->signatures_;
            if (bounds[a] != bounds[b]) return bounds[a] < bounds[b];
            if (signatures.counts[a] != signatures.counts[b]) {
                return signatures.counts[a] < signatures.counts[b];
            }
            const std::size_t n_words = signatures.layout.n_words;
            return std::lexicographical_compare(signatures.row(b), signatures.row(b) + n_words,
                                                signatures.row(a), signatures.row(a) + n_words);
        }
    };

    bool is_alive(std::uint32_t signature) const {
        return position_of_[signature] != gone && counts_[position_of_[signature]] > 0;
    }

    std::uint32_t pop() {
        std::pop_heap(heap_.begin(), heap_.end(), Later{this});
        const std::uint32_t top = heap_.back();
        heap_.pop_back();
        return top;
    }

    bool next_seed(std::uint32_t& seed) {
        std::size_t n_recounts = 1;
        std::vector<std::uint32_t> stale;
        while (true) {
            stale.clear();
            while (!heap_.empty() && stale.size() < n_recounts) {
                const std::uint32_t top = heap_.front();
                if (!is_alive(top)) {
                    pop();
                } else if (counted_in_[top] == round_) {
                    break;
                } else {
                    stale.push_back(pop());
                }
            }
            if (stale.empty()) {
                if (heap_.empty()) return false;
                seed = pop();
                return true;
            }
            recount(stale);
            for (const std::uint32_t signature : stale) {
                if (bounds_[signature] < options_.min_size) continue;
                counted_in_[signature] = round_;
                heap_.push_back(signature);
                std::push_heap(heap_.begin(), heap_.end(), Later{this});
            }
            n_recounts = std::min(max_recounts, 2 * n_recounts);
        }
    }

    // Sets the bounds of these signatures to their degrees among the alive ones.
    void recount(const std::vector<std::uint32_t>& stale) {
        const std::size_t n = columns_.n_rows;
        const auto n_workers =
            static_cast<std::size_t>(executor_.n_workers((n + scan_grain - 1) / scan_grain));
        std::vector<C> rows(stale.size() * m_);
        for (std::size_t k = 0; k < stale.size(); ++k) {
            columns_.copy_row(position_of_[stale[k]], &rows[k * m_]);
        }
        std::vector<std::int64_t> sums(n_workers * stale.size(), 0);
        executor_.run_ranges(n, scan_grain, [&](std::size_t begin, std::size_t end, int worker) {
            std::vector<C> agree(scan_rows);
            std::int64_t* sum = sums.data() + static_cast<std::size_t>(worker) * stale.size();
            for (std::size_t i = begin; i < end; i += scan_rows) {
                const std::size_t length = std::min(scan_rows, end - i);
                for (std::size_t k = 0; k < stale.size(); ++k) {
                    scan_.agree(columns_.codes.data() + i, n, m_, &rows[k * m_], length,
                                agree.data());
                    sum[k] += scan_.sum_at_least(agree.data(), static_cast<C>(options_.min_agree),
                                                 counts_.data() + i, length);
                }
            }
        });
        for (std::size_t k = 0; k < stale.size(); ++k) {
            std::int64_t degree = 0;
            for (std::size_t w = 0; w < n_workers; ++w) degree += sums[w * stale.size() + k];
            bounds_[stale[k]] = degree;
        }
    }

    // What the seed decides about the alive rows of one block. All are positions.
    struct Sorted {
        std::vector<std::uint32_t> members;
        std::vector<std::uint32_t> close;      // not strongly negative to the seed
        std::vector<std::uint32_t> undecided;  // to be compared with all members
    };

    void extract(std::uint32_t seed, std::int32_t label, std::int32_t* labels) {
        std::vector<C> row(m_);
        columns_.copy_row(position_of_[seed], row.data());
        std::vector<Sorted> blocks((columns_.n_rows + scan_grain - 1) / scan_grain);
        executor_.run_ranges(columns_.n_rows, scan_grain,
                             [&](std::size_t begin, std::size_t end, int) {
                                 sort_rows(row.data(), begin, end, blocks[begin / scan_grain]);
                             });
        Sorted all;
        for (const Sorted& block : blocks) {
            all.members.insert(all.members.end(), block.members.begin(), block.members.end());
            all.close.insert(all.close.end(), block.close.begin(), block.close.end());
            all.undecided.insert(all.undecided.end(), block.undecided.begin(),
                                 block.undecided.end());
        }
        const std::vector<std::uint8_t> is_close =
            find_close_to_members(all.members, all.undecided);
        for (const std::uint32_t position : all.members) {
            labels[signature_at_[position]] = label;
            kill(position);
        }
        for (const std::uint32_t position : all.close) kill(position);
        for (std::size_t k = 0; k < all.undecided.size(); ++k) {
            if (is_close[k] != 0) kill(all.undecided[k]);
        }
    }

    void sort_rows(const C* row, std::size_t begin, std::size_t end, Sorted& sorted) const {
        const std::size_t slack = m_ - options_.min_agree;
        std::vector<C> agree(scan_rows);
        std::vector<C> differ(scan_rows);
        for (std::size_t i = begin; i < end; i += scan_rows) {
            const std::size_t length = std::min(scan_rows, end - i);
            const C* columns = columns_.codes.data() + i;
            scan_.agree(columns, columns_.n_rows, m_, row, length, agree.data());
            scan_.differ(columns, columns_.n_rows, m_, row, length, differ.data());
            for (std::size_t k = 0; k < length; ++k) {
                if (counts_[i + k] == 0) continue;
                const auto position = static_cast<std::uint32_t>(i + k);
                if (agree[k] >= options_.min_agree) {
                    sorted.members.push_back(position);
                } else if (differ[k] < options_.min_differ) {
                    sorted.close.push_back(position);
                } else if (differ[k] < options_.min_differ + slack) {
                    sorted.undecided.push_back(position);
                }
            }
        }
    }

    // For every undecided row, whether some member is not strongly negative to it.
    std::vector<std::uint8_t> find_close_to_members(const std::vector<std::uint32_t>& members,
                                                    const std::vector<std::uint32_t>& undecided) {
        std::vector<std::uint8_t> is_close(undecided.size(), 0);
        if (options_.min_differ == 0 || undecided.empty()) return is_close;
        require_work(1e-9 * static_cast<double>(members.size()) *
                         static_cast<double>(undecided.size()) * static_cast<double>(m_) *
                         ns_per_scanned_code,
                     "comparing " + std::to_string(undecided.size()) + " signatures with the " +
                         std::to_string(members.size()) + " of a mini-cluster");
        std::vector<C> member_rows(members.size() * m_);
        for (std::size_t k = 0; k < members.size(); ++k) {
            columns_.copy_row(members[k], &member_rows[k * m_]);
        }
        executor_.run_ranges(undecided.size(), undecided_rows,
                             [&](std::size_t begin, std::size_t end, int) {
                                 compare_with_members(member_rows, undecided, begin, end, is_close);
                             });
        return is_close;
    }

    void compare_with_members(const std::vector<C>& member_rows,
                              const std::vector<std::uint32_t>& undecided, std::size_t begin,
                              std::size_t end, std::vector<std::uint8_t>& is_close) const {
        // The rows still undecided, by column. Rows that must be removed are dropped now and then.
        std::vector<std::uint32_t> left(end - begin);
        for (std::size_t k = 0; k < left.size(); ++k)
            left[k] = static_cast<std::uint32_t>(begin + k);
        std::vector<C> columns(m_ * left.size());
        const std::size_t stride = left.size();
        for (std::size_t j = 0; j < m_; ++j) {
            for (std::size_t k = 0; k < left.size(); ++k) {
                columns[j * stride + k] = columns_.column(j)[undecided[left[k]]];
            }
        }
        std::vector<C> differ(left.size());
        // A table has at least one partition. NOLINTNEXTLINE(clang-analyzer-core.DivideZero)
        const std::size_t n_members = member_rows.size() / m_;
        for (std::size_t first = 0; first < n_members && !left.empty();
             first += members_per_round) {
            const std::size_t last = std::min(n_members, first + members_per_round);
            for (std::size_t member = first; member < last; ++member) {
                scan_.differ(columns.data(), stride, m_, &member_rows[member * m_], left.size(),
                             differ.data());
                for (std::size_t k = 0; k < left.size(); ++k) {
                    is_close[left[k]] |= static_cast<std::uint8_t>(differ[k] < options_.min_differ);
                }
            }
            std::size_t kept = 0;
            for (std::size_t k = 0; k < left.size(); ++k) {
                if (is_close[left[k]] != 0) continue;
                left[kept] = left[k];
                for (std::size_t j = 0; j < m_; ++j) {
                    columns[j * stride + kept] = columns[j * stride + k];
                }
                ++kept;
            }
            left.resize(kept);
            executor_.checkpoint();
        }
    }

    void kill(std::uint32_t position) {
        counts_[position] = 0;
        --n_alive_;
    }

    // Drops dead rows from the columns once they are half of them, so that scans get shorter.
    void drop_dead_columns() {
        if (2 * n_alive_ > columns_.n_rows || columns_.n_rows < scan_rows) return;
        CodeColumns<C> columns;
        columns.n_rows = n_alive_;
        columns.n_partitions = m_;
        columns.codes.resize(n_alive_ * m_);
        for (std::size_t j = 0; j < m_; ++j) {
            const C* from = columns_.column(j);
            C* to = columns.column(j);
            for (std::size_t i = 0; i < columns_.n_rows; ++i) {
                if (counts_[i] > 0) *to++ = from[i];
            }
        }
        std::size_t kept = 0;
        for (std::size_t i = 0; i < columns_.n_rows; ++i) {
            const std::uint32_t signature = signature_at_[i];
            if (counts_[i] == 0) {
                position_of_[signature] = gone;
                continue;
            }
            counts_[kept] = counts_[i];
            signature_at_[kept] = signature;
            position_of_[signature] = static_cast<std::uint32_t>(kept);
            ++kept;
        }
        counts_.resize(kept);
        signature_at_.resize(kept);
        columns_ = std::move(columns);
    }

    static constexpr std::uint32_t gone = UINT32_MAX;

    const PackedSignatures& signatures_;
    const MiniClusterOptions& options_;
    const Executor& executor_;
    const RowScan<C>& scan_;
    const std::size_t m_;
    std::vector<std::int64_t> bounds_;      // per signature: upper bound on its alive degree
    std::vector<std::int32_t> counted_in_;  // per signature: the round its bound is from
    std::int32_t round_ = 0;
    CodeColumns<C> columns_;                   // by position
    std::vector<std::int64_t> counts_;         // by position; 0 if dead
    std::vector<std::uint32_t> signature_at_;  // by position
    std::vector<std::uint32_t> position_of_;   // per signature, or `gone`
    std::vector<std::uint32_t> heap_;          // signatures, best seed on top
    std::size_t n_alive_;
};

void check(const MiniClusterOptions& options, std::size_t n_partitions) {
    if (options.min_agree < 1 || options.min_agree > n_partitions) {
        throw std::invalid_argument("min_agree must be from 1 to " + std::to_string(n_partitions) +
                                    ", the number of partitions, got " +
                                    std::to_string(options.min_agree) + ".");
    }
    if (options.min_differ > n_partitions) {
        throw std::invalid_argument("min_differ must be from 0 to " + std::to_string(n_partitions) +
                                    ", the number of partitions, got " +
                                    std::to_string(options.min_differ) + ".");
    }
    if (options.min_size < 1) {
        throw std::invalid_argument("min_size must be at least 1, got " +
                                    std::to_string(options.min_size) + ".");
    }
}

std::vector<std::int32_t> extract_all(const PackedSignatures& signatures,
                                      const MiniClusterOptions& options, const Executor& executor) {
    return visit_code_type(
        signatures, [&]<class C>(C) { return Extraction<C>(signatures, options, executor).run(); });
}

}  // namespace

std::vector<std::int32_t> mini_clusters(const SignatureTable& table,
                                        const MiniClusterOptions& options,
                                        std::optional<std::span<const std::uint8_t>> eligible,
                                        const Executor& executor) {
    check(options, table.n_partitions());
    const PackedSignatures signatures = table.packed();
    if (!eligible) return extract_all(signatures, options, executor);
    if (eligible->size() != signatures.size()) {
        throw std::invalid_argument("eligible must have one value per signature, " +
                                    std::to_string(signatures.size()) + ", got " +
                                    std::to_string(eligible->size()) + ".");
    }
    std::vector<std::uint32_t> chosen;
    const PackedSignatures selected = select(signatures, *eligible, chosen);
    const auto chosen_labels = extract_all(selected, options, executor);
    std::vector<std::int32_t> labels(signatures.size(), -1);
    for (std::size_t k = 0; k < chosen.size(); ++k) labels[chosen[k]] = chosen_labels[k];
    return labels;
}

}  // namespace labelquorum
