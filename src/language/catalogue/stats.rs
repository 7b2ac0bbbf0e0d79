//! The statistics.

super::rows! {
    "Failures by rule" => "ルール別の失敗"
    "Transfers by server" => "サーバー別の転送"
    "Transfers by client" => "クライアント別の転送"
    "others" => "その他"
    "Passive ports of {server}" => "{server} のパッシブポート"
    "{worked} worked" => "成功 {worked}"
    "{failed} failed" => "失敗 {failed}"
    "{worked} worked, {failed} failed" => "成功 {worked}、失敗 {failed}"
    "1 more server" => "ほか 1 サーバー"
    "{count} more servers" => "ほか {count} サーバー"
    "{count} openings to further ports were counted nowhere" => "このほかのポートへの接続 {count} 件は集計していません"
}
