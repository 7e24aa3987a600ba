// Exact nearest neighbours.
//
// Every metric is, up to terms of one point alone, a dot product of centred rows x' = x - c:
//   euclidean (squared):  |x'|^2 + |y'|^2 - 2 x'y'
//   cosine, inner product: const + (-cx') + (-cy') - x'y'      (cosine: of rows of length 1)
// so distance = bias(x) + bias(y) - weight * x'y'. The dot products are estimated, of rows rounded
// to what the processor multiplies fastest (DotTile), and `slack` bounds what that can change, as a
// sum of a term of either point. Centring keeps the terms small, and with them the slack.
//
// A query keeps the candidates that its k-th smallest upper bound so far cannot rule out by their
// lower bound. When they become too many, they are measured in double precision and the best k
// kept. What is left at the end is measured, too.
#include "labelquorum/neighbors.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "dot_tile.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t max_block_bytes = std::size_t{1} << 26;  // of a worker
constexpr std::size_t max_block_queries = 4096;  // packing the points costs little, then
constexpr std::size_t group_bytes = std::size_t{1} << 19;  // of points, to stay in the second cache
constexpr std::size_t max_group_panels = 16;
constexpr std::size_t scan_grain = 1024;
constexpr double max_value = 1e150;
constexpr double half_ulp = 0x1p-24;  // the relative error of rounding to float

double widen(std::uint16_t half) {
    const int exponent = (half >> 10) & 31;
    const double mantissa = half & 1023;
    const double sign = (half >> 15) != 0 ? -1.0 : 1.0;
    if (exponent == 0) return sign * std::ldexp(mantissa, -24);
    if (exponent < 31) return sign * std::ldexp(mantissa + 1024, exponent - 25);
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
}
double widen(float value) { return value; }
double widen(double value) { return value; }

template <class T>
void read_row(const char* from, std::ptrdiff_t stride, std::size_t n, double* to) {
    for (std::size_t c = 0; c < n; ++c, from += stride) {
        T value;
        std::memcpy(&value, from, sizeof(value));
        to[c] = widen(value);
    }
}

// Row i in double precision, as given.
void read_row(const Points& points, std::size_t i, double* to) {
    const char* from = static_cast<const char*>(points.data) +
                       static_cast<std::ptrdiff_t>(i) * points.row_stride;
    const auto read = [&]<class T>(T) {
        if (points.column_stride == sizeof(T)) {
            read_row<T>(from, sizeof(T), points.n_columns, to);
        } else {
            read_row<T>(from, points.column_stride, points.n_columns, to);
        }
    };
    switch (points.type) {
        case FloatType::f16: read(std::uint16_t{}); break;
        case FloatType::f32: read(float{}); break;
        case FloatType::f64: read(double{}); break;
    }
}

// In an order of its own, but the same for all.
template <class Term>
double sum_of(std::size_t n, Term&& term) {
    constexpr std::size_t n_sums = 8;
    double sums[n_sums] = {};
    std::size_t c = 0;
    for (; c + n_sums <= n; c += n_sums) {
        for (std::size_t s = 0; s < n_sums; ++s) sums[s] += term(c + s);
    }
    for (; c < n; ++c) sums[c % n_sums] += term(c);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
           ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

double dot(const double* a, const double* b, std::size_t n) {
    return sum_of(n, [&](std::size_t c) { return a[c] * b[c]; });
}

// Reads rows and measures them in double precision.
class Measure {
public:
    Measure(Metric metric, std::size_t n_columns) : metric_(metric), n_columns_(n_columns) {}

    // The row as it is compared: for cosine of length 1, or all zeros.
    void read(const Points& points, std::size_t i, double* to) const {
        read_row(points, i, to);
        if (metric_ != Metric::cosine) return;
        double largest = 0;  // divided by first: squares could overflow, or vanish
        for (std::size_t c = 0; c < n_columns_; ++c) largest = std::max(largest, std::abs(to[c]));
        if (largest == 0) return;
        const double norm = std::sqrt(sum_of(n_columns_, [&](std::size_t c) {
            const double value = to[c] / largest;
            return value * value;
        }));
        for (std::size_t c = 0; c < n_columns_; ++c) to[c] = to[c] / largest / norm;
    }

    // Of rows that were read so. The square of a euclidean distance.
    double operator()(const double* a, const double* b) const {
        switch (metric_) {
            case Metric::inner_product: return -dot(a, b, n_columns_);
            case Metric::cosine:
                // Half the squared distance of unit rows: exact also for rows nearly parallel.
                if (is_zero(a) || is_zero(b)) return 1;
                return squared(a, b) / 2;
            default: return squared(a, b);
        }
    }

    // What is given to the caller.
    double final_distance(double measured) const {
        return metric_ == Metric::euclidean ? std::sqrt(measured) : measured;
    }

    // Below this, nothing is measured.
    double least() const {
        return metric_ == Metric::inner_product ? -std::numeric_limits<double>::infinity() : 0;
    }

private:
    double squared(const double* a, const double* b) const {
        return sum_of(n_columns_, [&](std::size_t c) { return (a[c] - b[c]) * (a[c] - b[c]); });
    }
    bool is_zero(const double* row) const {
        return std::all_of(row, row + n_columns_, [](double value) { return value == 0; });
    }

    Metric metric_;
    std::size_t n_columns_;
};

// Points and queries are centred and scaled alike.
struct Frame {
    std::vector<double> center;
    double center_squares;
    double scale;  // a power of two: values times this are at most 1, so that squares fit a float
};

// A point as the estimates see it: estimate = bias + other bias - weight * dot, right but for slack
// + other slack.
struct Terms {
    double bias;
    double slack;
};

double weight_of(Metric metric) { return metric == Metric::euclidean ? 2 : 1; }

// Makes rows into what the estimates need.
class Packer {
public:
    Packer(const Frame& frame, Metric metric, const DotTile& tile)
        : n_columns_((frame.center.size() + tile.n_columns_of - 1) / tile.n_columns_of *
                     tile.n_columns_of),
          frame_(frame), metric_(metric), tile_(tile), rounded_(n_columns_, 0.0F) {}

    // Columns of a panel.
    std::size_t n_columns() const { return n_columns_; }
    std::size_t row_bytes() const { return n_columns_ * tile_.value_bytes; }

    // A row, which is used up, to a place in a panel.
    Terms put_query(double* row, std::size_t place, char* panel) {
        const Terms terms = round(row);
        tile_.put_query(rounded_.data(), n_columns_, place, panel);
        return terms;
    }
    Terms put_point(double* row, std::size_t place, char* panel) {
        const Terms terms = round(row);
        tile_.put_point(rounded_.data(), n_columns_, place, panel);
        return terms;
    }

private:
    Terms round(double* row) {
        const std::size_t n = frame_.center.size();
        const double* center = frame_.center.data();
        for (std::size_t c = 0; c < n; ++c) row[c] = (row[c] - center[c]) * frame_.scale;
        for (std::size_t c = 0; c < n; ++c) rounded_[c] = static_cast<float>(row[c]);
        tile_.round(rounded_.data(), n_columns_);
        const double squares = dot(row, row, n);
        double bias = squares;
        if (metric_ != Metric::euclidean) {
            bias = -frame_.scale * (dot(row, center, n) + frame_.scale * frame_.center_squares / 2);
            if (metric_ == Metric::cosine) bias += frame_.scale * frame_.scale / 2;
        }
        const double rest = sum_of(n, [&](std::size_t c) {
            const double error = row[c] - double{rounded_[c]};
            return error * error;
        });
        // With rounded rows x~ and y~: |x'y' - x~y~| <= |x' - x~| |y'| + |x~| |y' - y~|, and each of
        // the products is at most half the sum of one square over `rounding` and the other times it.
        // Then half an ulp of |x~||y~| for each term of the dot product, a few for what follows, and
        // what is lost below the smallest float.
        const double ratio = tile_.rounding;
        const double larger = 1.01 * (squares + rest);  // than |x~|^2, too, where it matters
        const double of_rounding = rest / ratio + ratio * larger;
        const double of_sums = half_ulp * static_cast<double>(n_columns_ + 16) * larger;
        const double slack = weight_of(metric_) * (of_rounding + of_sums) / 2 +
                             4 * half_ulp * (std::abs(bias) + squares);
        return {bias, 1.01 * slack + static_cast<double>(n_columns_) * 0x1p-120};
    }

    std::size_t n_columns_;
    const Frame& frame_;
    Metric metric_;
    const DotTile& tile_;
    std::vector<float> rounded_;
};

struct Candidate {
    float low;   // bound on the distance less the query's terms, from below
    float high;  // and from above
    std::uint32_t index;
};

float round_up(double value) {
    return std::nextafter(static_cast<float>(value), std::numeric_limits<float>::infinity());
}
float round_down(double value) {
    return std::nextafter(static_cast<float>(value), -std::numeric_limits<float>::infinity());
}

struct Neighbor {
    double distance;
    std::uint32_t index;
    bool operator<(const Neighbor& other) const {
        return distance != other.distance ? distance < other.distance : index < other.index;
    }
};

// The search for one block of queries.
class Block {
public:
    Block(const Points& points, const Points& queries, bool same, std::size_t k, Metric metric,
          const Frame& frame, std::size_t begin, std::size_t n)
        : points_(points), queries_(queries), same_(same), k_(k), measure_(metric, points.n_columns),
          metric_(metric), frame_(frame), tile_(dot_tile()), packer_(frame, metric, tile_),
          begin_(begin), n_(n), capacity_(capacity(k)),
          n_panels_((n + tile_.n_queries - 1) / tile_.n_queries),
          panels_(n_panels_ * tile_.n_queries * packer_.row_bytes(), 0), terms_(n),
          limits_(n, std::numeric_limits<float>::infinity()), candidates_(n),
          query_(points.n_columns), point_(points.n_columns) {
        for (std::size_t q = 0; q < n; ++q) {
            read_query(q);
            terms_[q] = packer_.put_query(query_.data(), q % tile_.n_queries,
                                          panel_of(q / tile_.n_queries));
        }
    }

    static std::size_t capacity(std::size_t k) { return k + std::max<std::size_t>(k, 64); }
    static std::size_t bytes_per_query(std::size_t k, std::size_t n_columns) {
        return capacity(k) * (sizeof(Candidate) + sizeof(Neighbor)) + n_columns * sizeof(float);
    }

    // Compares with all points; `checkpoint` is called now and then.
    template <class Checkpoint>
    void search(Checkpoint&& checkpoint) {
        const std::size_t width = tile_.n_points;
        const std::size_t n_group = std::clamp<std::size_t>(
            group_bytes / (width * packer_.row_bytes()), 1, max_group_panels);
        std::vector<char> group(n_group * width * packer_.row_bytes());
        std::vector<float> dots(n_group * max_dots_per_tile);
        std::vector<float> low(n_group * width);  // bias - slack of the points
        std::vector<float> gap(n_group * width);  // 2 slack
        const auto weight = static_cast<float>(weight_of(metric_));
        for (std::size_t first = 0; first < points_.n_rows; first += n_group * width) {
            checkpoint();
            const std::size_t n_points = std::min(n_group * width, points_.n_rows - first);
            std::fill(low.begin(), low.end(), std::numeric_limits<float>::quiet_NaN());
            for (std::size_t p = 0; p < n_points; ++p) {
                measure_.read(points_, first + p, point_.data());
                const Terms terms =
                    packer_.put_point(point_.data(), p % width,
                                      group.data() + p / width * width * packer_.row_bytes());
                low[p] = round_down(terms.bias - terms.slack);
                gap[p] = round_up(2 * terms.slack);
            }
            const std::size_t n_point_panels = (n_points + width - 1) / width;
            for (std::size_t panel = 0; panel < n_panels_; ++panel) {
                tile_.multiply(panel_of(panel), group.data(), n_point_panels, packer_.n_columns(),
                               dots.data());
                const std::size_t q_begin = panel * tile_.n_queries;
                const std::size_t q_end = std::min(n_, q_begin + tile_.n_queries);
                for (std::size_t p = 0; p < n_point_panels; ++p) {
                    for (std::size_t q = q_begin; q < q_end; ++q) {
                        const float* row =
                            dots.data() + (p * tile_.n_queries + q - q_begin) * width;
                        const float* row_low = low.data() + p * width;
                        // Places without a point have NaN for a bound.
                        std::uint32_t bits = tile_.within(row, row_low, weight, limits_[q]);
                        for (; bits != 0; bits &= bits - 1) {
                            const auto i = static_cast<std::size_t>(std::countr_zero(bits));
                            const float bound = row_low[i] - weight * row[i];
                            keep(q, {bound, bound + gap[p * width + i],
                                     static_cast<std::uint32_t>(first + p * width + i)});
                        }
                    }
                }
            }
        }
    }

    // The k nearest of query q, sorted.
    std::vector<Neighbor> result(std::size_t q) {
        rule_out(q);
        read_query(q);
        std::vector<Neighbor> measured = measure_all(q);
        std::partial_sort(measured.begin(), measured.begin() + static_cast<std::ptrdiff_t>(k_),
                          measured.end());
        measured.resize(k_);
        for (Neighbor& neighbor : measured) {
            neighbor.distance = measure_.final_distance(neighbor.distance);
        }
        return measured;
    }

private:
    char* panel_of(std::size_t panel) {
        return panels_.data() + panel * tile_.n_queries * packer_.row_bytes();
    }

    void read_query(std::size_t q) { measure_.read(queries_, begin_ + q, query_.data()); }

    void keep(std::size_t q, const Candidate& candidate) {
        std::vector<Candidate>& kept = candidates_[q];
        if (same_ && candidate.index == begin_ + q) return;
        if (!(candidate.low <= limits_[q])) return;
        kept.push_back(candidate);
        if (kept.size() >= capacity_) thin_out(q);
    }

    // Drops the candidates that the bounds of the others rule out.
    void rule_out(std::size_t q) {
        std::vector<Candidate>& kept = candidates_[q];
        const auto kth = kept.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
        std::nth_element(kept.begin(), kth, kept.end(),
                         [](const Candidate& a, const Candidate& b) { return a.high < b.high; });
        const float limit = round_up(double{kth->high} + 2 * terms_[q].slack);
        std::erase_if(kept, [&](const Candidate& c) { return c.low > limit; });
        limits_[q] = std::min(limits_[q], limit);
    }

    void thin_out(std::size_t q) {
        std::vector<Candidate>& kept = candidates_[q];
        rule_out(q);
        if (kept.size() <= k_ + (capacity_ - k_) / 2) return;
        // The bounds do not tell enough of them apart.
        read_query(q);
        std::vector<Neighbor> measured = measure_all(q);
        std::nth_element(measured.begin(), measured.begin() + static_cast<std::ptrdiff_t>(k_ - 1),
                         measured.end());
        const double worst = measured[k_ - 1].distance;
        kept.clear();
        const double scale = frame_.scale * frame_.scale;
        for (std::size_t i = 0; i < k_; ++i) {
            const double relative = measured[i].distance * scale - terms_[q].bias;
            kept.push_back({round_down(relative), round_up(relative), measured[i].index});
        }
        // Points come in order: a later one at the same distance loses, and none is nearer than 0.
        limits_[q] = worst <= measure_.least()
                         ? -std::numeric_limits<float>::infinity()
                         : round_up(worst * scale - terms_[q].bias + terms_[q].slack);
    }

    // Needs query_ read.
    std::vector<Neighbor> measure_all(std::size_t q) {
        std::vector<Neighbor> measured;
        measured.reserve(candidates_[q].size());
        for (const Candidate& candidate : candidates_[q]) {
            measure_.read(points_, candidate.index, point_.data());
            measured.push_back({measure_(query_.data(), point_.data()), candidate.index});
        }
        return measured;
    }

    const Points& points_;
    const Points& queries_;
    bool same_;
    std::size_t k_;
    Measure measure_;
    Metric metric_;
    const Frame& frame_;
    const DotTile& tile_;
    Packer packer_;
    std::size_t begin_;
    std::size_t n_;
    std::size_t capacity_;
    std::size_t n_panels_;
    std::vector<char> panels_;  // of queries
    std::vector<Terms> terms_;
    std::vector<float> limits_;  // a lower bound above this is too far
    std::vector<std::vector<Candidate>> candidates_;
    std::vector<double> query_;
    std::vector<double> point_;
};

void check_finite(const Points& points, std::size_t i, const double* row, const char* name) {
    for (std::size_t c = 0; c < points.n_columns; ++c) {
        if (std::abs(row[c]) <= max_value) continue;
        const char* found = std::isnan(row[c])   ? "NaN"
                            : std::isinf(row[c]) ? "infinity"
                                                 : "a value beyond 1e150";
        throw std::invalid_argument(std::string(name) + " holds " + found + " at row " +
                                    std::to_string(i) + ", column " + std::to_string(c));
    }
}

// Checks all values, and adds up the rows as they are compared.
void survey(const Points& points, const char* name, const Measure& measure, double& largest,
            std::vector<double>* mean, const Executor& executor) {
    const std::size_t m = points.n_columns;
    const std::size_t n_blocks = (points.n_rows + scan_grain - 1) / scan_grain;
    const auto n_workers = static_cast<std::size_t>(executor.n_workers(n_blocks));
    std::vector<std::vector<double>> sums(n_workers, std::vector<double>(m, 0.0));
    std::vector<double> maxima(n_workers, 0.0);
    executor.run_ranges(
        points.n_rows, scan_grain, [&](std::size_t begin, std::size_t end, int worker) {
            const auto w = static_cast<std::size_t>(worker);
            std::vector<double> row(m);
            for (std::size_t i = begin; i < end; ++i) {
                read_row(points, i, row.data());
                check_finite(points, i, row.data(), name);
                measure.read(points, i, row.data());
                for (std::size_t c = 0; c < m; ++c) {
                    sums[w][c] += row[c] / static_cast<double>(points.n_rows);
                    maxima[w] = std::max(maxima[w], std::abs(row[c]));
                }
            }
        });
    for (std::size_t w = 0; w < n_workers; ++w) {
        largest = std::max(largest, maxima[w]);
        if (mean == nullptr) continue;
        for (std::size_t c = 0; c < m; ++c) (*mean)[c] += sums[w][c];
    }
}

}  // namespace

template <class Distance>
void exact_neighbors(const Points& points, const Points* queries, std::size_t k, Metric metric,
                     Distance* distances, std::int64_t* indices, const Executor& executor) {
    const bool same = queries == nullptr;
    const Points& from = same ? points : *queries;
    const std::size_t n_others = points.n_rows - (same && points.n_rows > 0 ? 1 : 0);
    if (points.n_rows > std::numeric_limits<std::uint32_t>::max()) {
        throw std::invalid_argument("X: more than 2^32 - 1 rows");
    }
    if (points.n_columns < 1 || from.n_columns != points.n_columns) {
        throw std::invalid_argument("Y: " + std::to_string(from.n_columns) + " columns, X: " +
                                    std::to_string(points.n_columns));
    }
    if (k < 1 || k > n_others) {
        throw std::invalid_argument("n_neighbors: " + std::to_string(k) + "; wanted 1 to " +
                                    std::to_string(n_others));
    }
    const Measure measure(metric, points.n_columns);
    Frame frame{std::vector<double>(points.n_columns, 0.0), 0, 1};
    double largest = 0;
    executor.stage("check", 0, 0.01);
    survey(points, "X", measure, largest, &frame.center, executor);
    if (!same) survey(from, "Y", measure, largest, nullptr, executor);
    frame.center_squares = dot(frame.center.data(), frame.center.data(), points.n_columns);
    // A centred value is at most twice the largest. The square of the scale has to fit a double.
    if (largest > 0) frame.scale = std::ldexp(1.0, std::clamp(-std::ilogb(largest) - 2, -500, 500));

    const std::size_t per_query = Block::bytes_per_query(k, points.n_columns);
    const auto n_threads = static_cast<std::size_t>(executor.n_threads());
    const std::size_t share = (from.n_rows + 4 * n_threads - 1) / (4 * n_threads);
    const std::size_t step = dot_tile().n_queries;
    const std::size_t most = std::min(max_block_queries, max_block_bytes / per_query / step * step);
    const std::size_t grain =
        std::max<std::size_t>(1, std::min(most, (share + step - 1) / step * step));
    executor.require_memory(n_threads * grain * per_query, "the search for neighbours");
    executor.stage("neighbors", 0.01, 1);
    executor.run_ranges(from.n_rows, grain, [&](std::size_t begin, std::size_t end, int) {
        Block block(points, from, same, k, metric, frame, begin, end - begin);
        block.search([&] { executor.checkpoint(); });
        for (std::size_t q = 0; q < end - begin; ++q) {
            const std::vector<Neighbor> nearest = block.result(q);
            for (std::size_t i = 0; i < k; ++i) {
                distances[(begin + q) * k + i] = static_cast<Distance>(nearest[i].distance);
                indices[(begin + q) * k + i] = nearest[i].index;
            }
        }
    });
}

template void exact_neighbors(const Points&, const Points*, std::size_t, Metric, float*,
                              std::int64_t*, const Executor&);
template void exact_neighbors(const Points&, const Points*, std::size_t, Metric, double*,
                              std::int64_t*, const Executor&);

}  // namespace labelquorum
